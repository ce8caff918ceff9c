"""The prompts of the `smollm` pair: every form crossed with every topic, in a fixed shuffled order."""

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
