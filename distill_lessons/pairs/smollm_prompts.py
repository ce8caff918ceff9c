"""The prompts of the `smollm` pair: forms crossed with topics, in a fixed shuffled order."""

import random

FORMS = [
    "What is {}?",
    "Explain {} to a child in one sentence.",
    "Write one sentence about {}.",
    "Why is {} important?",
    "Give me a short tip about {}.",
    "Name three things that have to do with {}.",
    "Tell me a fun fact about {}.",
    "Describe {} in ten words.",
]

TOPICS = """
the Moon; the Sun; rain; snow; a volcano; an earthquake; the ocean; a river; a desert; a forest; gravity; electricity;
light; sound; heat; a magnet; an atom; a cell; water; air; a cat; a dog; a horse; a bee; a whale; a spider; an elephant;
an owl; a tomato; an apple; bread; rice; coffee; tea; chocolate; cheese; salt; sugar; soup; breakfast; sleep; exercise;
a good memory; friendship; patience; courage; kindness; anger; a good question; a promise; reading; writing; a poem;
a library; a museum; a school; a teacher; homework; mathematics; history; geography; music; painting; dancing; football;
chess; swimming; running; cycling; a bicycle; a train; an airplane; a ship; a bridge; a map; a clock; a calendar; money;
saving money; a market; a city; a village; a garden; a tree; a flower; a seed; spring; winter; a computer; the internet;
a password; an email; a telephone; a camera; a robot; a computer program; a mistake; a dictionary; a newspaper; a holiday;
a birthday; a family; a doctor; a dentist; medicine; a healthy heart; clean hands; recycling; a wind turbine; solar power
"""


def prompts():
    """All prompts, the same list in the same order every time: ``len(FORMS) * len(TOPICS)`` strings."""
    topics = [topic.strip() for topic in TOPICS.replace("\n", " ").split(";")]
    every = [form.format(topic) for topic in topics for form in FORMS]
    random.Random(2024).shuffle(every)
    return every


# The corpus of lessons 04, 05 and 08: more forms and more topics than above. Held-out prompts ask about topics that no
# training prompt mentions.

CORPUS_FORMS = {
    "define": "What is {}?",
    "reason": "Why do people care about {}?",
    "child": "Explain {} to a six-year-old.",
    "describe": "Describe {} to someone who has never met it.",
    "advice": "Give one piece of practical advice about {}.",
    "history": "Tell me briefly how {} came to be.",
    "list": "List three things that go well with {}.",
    "steps": "What are the first two steps in learning about {}?",
    "story": "Begin a short story about {}.",
    "poem": "Write a two-line poem about {}.",
    "title": "Suggest a title for a book about {}.",
    "question": "Write a quiz question about {}.",
    "letter": "Write the opening sentence of a letter about {}.",
    "advert": "Write a one-line advertisement for {}.",
    "headline": "Write a newspaper headline about {}.",
    "dialogue": "Write a short dialogue between two friends about {}.",
    "pros": "Name one good and one bad thing about {}.",
    "opinion": "Is it easy to like {}? Say why.",
    "compare": "How is {} different from {}?",
    "link": "What do {} and {} have in common?",
    "rewrite": 'Rewrite politely: "I do not want to hear about {}."',
    "finish": 'Finish the sentence: "The best thing about {} is"',
    "metaphor": "Complete the comparison: {} is like",
    "future": "How might {} change in a hundred years?",
    "myth": "What do many people get wrong about {}?",
    "feeling": "How does {} make people feel?",
}

CORPUS_TOPICS = """
a comet; a rainbow; fog; a glacier; a waterfall; an island; a cave; a coral reef; the desert at night; the north wind;
a thunderstorm; tides; a meadow; moss; a pine tree; a rose; a sunflower; a mushroom; a seashell; sand; clay; iron; gold;
glass; paper; silk; wool; leather; plastic; wood; fire; ice; steam; smoke; shadows; mirrors; echoes; colours; numbers;
zero; fractions; triangles; circles; probability; a recipe; soup; olives; honey; pepper; cinnamon; lemons; bananas;
potatoes; onions; pancakes; noodles; ice cream; lemonade; a picnic; a kitchen; a fork; a knife; a teapot; a candle;
a pillow; a blanket; a chair; a door; a window; a ladder; a hammer; a needle; a button; a zip; a shoe; a hat; an umbrella;
a wallet; a key; a rope; a wheel; a bell; a drum; a violin; a piano; a flute; singing; whistling; silence; a joke; a riddle;
a secret; a rumour; an apology; a compliment; a handshake; a smile; a nightmare; a daydream; a habit; luck; hope; envy;
pride; boredom; curiosity; gratitude; loneliness; trust; honesty; freedom; justice; peace; a law; a vote; taxes; a bank;
insurance; a contract; an interview; a meeting; a deadline; teamwork; a hobby; gardening; fishing; knitting;
baking; camping; hiking; sailing; skiing; surfing; climbing; yoga; archery; tennis; basketball; table tennis; a marathon;
a stadium; a circus; a theatre; a film; a comic book; a fairy tale; a diary; a biography; an encyclopedia; an alphabet;
a sentence; a comma; an accent; translation; a signature; a stamp; a postcard; a parcel; a market stall; a bakery;
a pharmacy; a hospital; an ambulance; a nurse; a vaccine; a fever; a headache; a broken arm; eyesight; hearing; taste;
memory; a brain; bones; muscles; blood; teeth; hair; skin; ants; butterflies; mosquitoes; snails; frogs; snakes; turtles;
penguins; parrots; pigeons; eagles; foxes; wolves; bears; lions; giraffes; kangaroos; dolphins; sharks; goldfish; sheep;
goats; pigs; chickens; donkeys; camels; a farm; a barn; a tractor; a harvest; a compass; a telescope; a microscope;
a thermometer; a battery; a light bulb; a radio; a television; a calculator; a keyboard; a printer; a satellite; a rocket;
a submarine; a helicopter; a tram; a bus stop; a traffic light; a tunnel; a harbour; a lighthouse; an elevator;
a skyscraper; a castle; a tent; a fence; a fountain; a statue; a graveyard; a playground; a kindergarten; a university;
an exam; a scholarship; a laboratory; an experiment; a theory; an algorithm; a spreadsheet; a website; a search engine;
a video game; a smartphone; artificial intelligence; encryption; spam; a backup; a bug in a program
"""

CORPUS_PROMPTS = 2400
CORPUS_HELD_OUT = {"validation": 80, "test": 120}
MORE_HELD_OUT = {"validation": 100, "test": 200}  # of the corpus at temperature 1, which has these and the same others


def corpus(held_out=CORPUS_HELD_OUT):
    """The prompts of the corpus, the same every time: dicts of id, split, form, topic and prompt.

    Topics are divided first: those of validation and test prompts occur in no training prompt. A prompt about two topics
    takes both from its own split.

    Args:
        held_out: prompts of each split that is not trained on; CORPUS_HELD_OUT, or MORE_HELD_OUT for the same prompts and
            more of them behind.
    """
    shuffled = random.Random(7)
    topics = [topic.strip() for topic in CORPUS_TOPICS.replace("\n", " ").split(";")]
    shuffled.shuffle(topics)
    places = {"validation": topics[:12], "test": topics[12:30], "train": topics[30:]}
    wanted = CORPUS_HELD_OUT | {"train": CORPUS_PROMPTS - sum(CORPUS_HELD_OUT.values())}
    rows, left = [], {}

    def add(split, asked):
        for form, topic in asked:
            other = shuffled.choice([each for each in places[split] if each != topic])
            prompt = CORPUS_FORMS[form].format(topic, other)
            rows.append({"split": split, "form": form, "topic": topic, "prompt": prompt[0].upper() + prompt[1:]})

    for split, own in places.items():
        every = [(form, topic) for form in CORPUS_FORMS for topic in own]
        shuffled.shuffle(every)
        add(split, every[: wanted[split]])
        left[split] = every[wanted[split] :]
    for split, count in held_out.items():  # after all others, which stay what they are
        add(split, left[split][: count - wanted[split]])
    return [{"id": f"{row['split']}-{number:04d}"} | row for number, row in enumerate(rows)]
