"""What was published, claim by claim: the sentence in our words, its source, and the test that the ledger judges.

*Guide A* is the tutorial "Knowledge Distillation for LLMs: Compressing Intelligence", *playbook B* the "LLM Distillation
Playbook". A claim of two halves is two claims.
The first comparison is the main test. Least effects and premises are stated here once: `claims` computes the rest.
"""

import math

from distill_lessons.course.stated import Claim, Comparison, Premise

POINT = "one point is six of 600 test images; less would change nobody's choice"
NATS = "two recordings of one recipe and seed differ by up to 0.11 nats"
POINTS_5 = "under five points other ways of getting better are cheaper"
SHORT = "24 steps of 4 texts"  # the language model's training in most tables
WIDE = math.inf


def digits(setting, table, metric, arm, other=None, **more):
    """A test on the digits, of at least a point unless it says otherwise."""
    return Comparison(setting, table, metric, arm, other, **{"least": 0.01, "why": POINT} | more)


def language(setting, table, metric, arm, other=None, **more):
    """A test on the language model's distance to its teacher: lower is better, by a tenth of a nat."""
    plain = {"least": 0.1, "why": NATS, "lower": True, "unit": "nats", "budget": SHORT}
    return Comparison(setting, table, metric, arm, other, **plain | more)


def off_the_floor(arm, table="lesson04-arms", who="the student"):
    """A student that is nearer to its teacher than word frequencies alone: below that nothing can be compared."""
    test = language("language", f"lesson04-floor + {table}", "kl", arm, "word frequencies")
    return Premise(f"{who} is nearer to the teacher than word frequencies alone", test)


CORPUS = {"15K": "15,000 tokens", "110K": "110,000 tokens"}  # of text at temperature 1, each example once
LEFT = "a twentieth of the distance that is left"


def corpus(words, lessons, metric, arm, other=None, **more):
    """A test on students of the corpus at temperature 1, one for each budget.

    Args:
        lessons: whose tables have the arms: "04", or "05 + 04" for the arm's and the other's.
    """
    tests = []
    for budget, tokens in CORPUS.items():
        tables = [f"lesson{lesson}-corpus-{budget}" for lesson in lessons.split(" + ")]
        floor = language(
            "language", f"lesson04-corpus-floor + {tables[0]}", "kl", arm, "word frequencies", budget=tokens
        )
        plain = {"budget": tokens, "rates": f"lesson{lessons[:2]}-corpus-rates", "why": LEFT,
                 "premises": (Premise("the student is nearer to the teacher than word frequencies alone", floor),)}  # fmt: skip
        tests.append(language(f"language, {words}", " + ".join(tables), metric, arm, other, **plain | more))
    return tuple(tests)


BY_AGREEMENT = {"lower": False, "least": 0.01, "why": "a point of agreement", "unit": ""}


def better_teacher(table, teacher, best, words="the teacher beats the best student without one"):
    """A teacher from whom something can be learned."""
    return Premise(words, digits("digits", table, "accuracy", teacher, best, least=0.0))


KINDS = (("bag", "a bag of words"), ("gru", "a recurrent net"), ("transformer", "a transformer"))
RANK = "a hundredth of a correlation is less than twenty raters can tell"
DAY = "a point is 400 of the case's 40,000 sentences a day"


def reviews(setting, table, metric, arm, other=None, **more):
    """A test on the sentences that people rated, of at least a point unless it says otherwise."""
    rates = f"{table.split(' + ')[0]}-rates"
    return Comparison(setting, table, metric, arm, other, **{"least": 0.01, "why": DAY, "rates": rates} | more)


# A teacher that has read 640 labels, and what a student makes of the same 640.
TAUGHT = (
    Premise(
        "the teacher beats the best student without it by five points",
        reviews("reviews", "lesson02-reviews", "accuracy", "teacher", "labels", least=0.05),
    ),
    Premise(
        "and the best with smoothed labels",
        reviews("reviews", "lesson02-reviews", "accuracy", "teacher", "labels smoothed", least=0.05),
    ),
)

# --- Lesson 01: temperature -------------------------------------------------------------------------------------------

TEMPERATURE = (
    Claim(
        "C1",
        "Logits [2, 1, 0.5] give .66/.24/.10 at T=1, .50/.31/.19 at T=2, .39/.33/.28 at T=5, .84/.14/.02 at T=0.5",
        "guide A",
        "01",
        (Comparison("arithmetic, 12 entries", "lesson01-table", "largest_difference", "all", within=(-WIDE, 0.005),
                    why="rounding to two decimals explains 0.005", exact=True),),
    ),
    Claim(
        "C2a",
        "A higher temperature shows more of how classes relate",
        "guide A",
        "01",
        (digits("digits, a class never shown, T=4 against 1", "lesson01-classes", "auc", "T4", "T1",
                why="a hundredth of the area under the curve is hardly seen in a picture",
                premises=(Premise("the teacher itself knows the class",
                                  digits("digits", "lesson01-classes", "auc", "teacher", least=0.95)),)),),
        (reviews("reviews, the student's order of sentences against the raters' shares, T=5 against 1",
                 "lesson01-reviews + lesson02-reviews", "rank", "T5", "soft", why=RANK, premises=TAUGHT),),
    ),
    Claim(
        "C2b",
        "Above a temperature of about 5 to 10 the probabilities show nothing",
        "guide A",
        "01",
        (digits("digits, a class never shown, T=20 no better than hard labels", "lesson01-classes", "auc", "T20", "hard",
                within=(-WIDE, 0.01), why="a hundredth of the area under the curve is hardly seen in a picture"),),
        (
            *(Comparison(f"language, the 32 likeliest tokens hold at most 5% at T={t}", "lesson01-tokens", "top32_mass",
                         f"T{t}", within=(-WIDE, 0.05), why="of 49,152 tokens 32 are 0.07%", rates="none")
              for t in (5, 10)),
            digits("digits, a class never shown, T=20 less than T=4", "lesson01-classes", "auc", "T20", "T4", lower=True),
            reviews("reviews, the student's order of sentences, T=20 no better than answers",
                    "lesson01-reviews + lesson02-reviews", "rank", "T20", "hard", within=(-WIDE, 0.01), why=RANK,
                    premises=TAUGHT),
        ),
    ),
    Claim(
        "C3a",
        "A temperature of 2 to 3 suits classification",
        "guide A",
        "01",
        (reviews("reviews, T=2 against 1", "lesson01-reviews + lesson02-reviews", "accuracy", "T2", "soft", premises=TAUGHT),),
        (
            reviews("reviews, T=3 against 1", "lesson01-reviews + lesson02-reviews", "accuracy", "T3", "soft", premises=TAUGHT),
            *(reviews(f"reviews, T={t} against 5", "lesson01-reviews", "accuracy", f"T{t}", "T5", premises=TAUGHT)
              for t in (2, 3)),
            *(digits(f"digits, T={t} against {other}", "lesson01-classification", "accuracy", f"T{t}", f"T{other}",
                     premises=(better_teacher("lesson01-classification", "teacher", "smoothing"),))
              for t, other in ((2, 1), (3, 1), (2, 5), (3, 5))),
        ),
    ),
    Claim(
        "C3b",
        "A temperature of 3 to 5 suits language models",
        "guide A",
        "01",
        corpus("text at T=1, T=3 against 1", "01 + 04", "kl", "T3", "online")[:1],
        (
            *corpus("text at T=1, T=3 against 1, by agreement", "01 + 04", "agreement", "T3", "online", **BY_AGREEMENT),
            corpus("text at T=1, T=3 against 1", "01 + 04", "kl", "T3", "online")[1],
            *(language(f"language, T={t} against 1", "lesson01-language", "kl", f"T{t}", "T1", budget="20 steps")
              for t in (3, 5)),
            *(language(f"language, T={t} against 1, by agreement", "lesson01-language", "agreement", f"T{t}", "T1",
                       lower=False, least=0.01, why="a point of agreement", unit="", budget="20 steps") for t in (3, 5)),
        ),
        note="KL at T=1 is what training at T=1 lowers; agreement, which favours no temperature, stands beside it.",
    ),
)  # fmt: skip

# --- Lesson 02: dark knowledge ----------------------------------------------------------------------------------------

FEW = (better_teacher("lesson02-labels", "teacher", "100-smoothing"),)
ALL = (better_teacher("lesson02-labels", "teacher", "all-smoothing"),)
SHIFTED = (better_teacher("lesson02-teachers", "teacher-shifted", "smoothing"),)
PLAIN = (better_teacher("lesson02-teachers", "teacher-plain", "smoothing"),)
SAME_CONFIDENCE = "the same confidence without the classes"

DARK = (
    Claim(
        "C4",
        "Soft labels teach more per example than hard ones",
        "guide A; Hinton, Vinyals, Dean 2015, section 6",
        "02",
        (reviews("reviews, 5,000 sentences", "lesson02-reviews", "accuracy", "soft", "hard", premises=TAUGHT),),
        (
            reviews("reviews, 640 sentences", "lesson02-reviews", "accuracy", "soft, 640", "hard, 640", premises=TAUGHT),
            *(reviews(f"reviews, 5,000 sentences, {words}", "lesson04-kinds", "accuracy", f"{kind}, soft", f"{kind}, hard",
                      premises=TAUGHT)
              for kind, words in KINDS),
            digits("digits, 100 images", "lesson02-labels", "accuracy", "100-soft", "100-hard", premises=FEW),
            digits("digits, all 997 images", "lesson02-labels", "accuracy", "all-soft", "all-hard", premises=ALL),
            digits("digits, all 997 images, 16 wide", "lesson02-teachers", "accuracy", "shifted", "hard", premises=SHIFTED),
            digits("digits, all 997 images, a teacher trained without shifts", "lesson02-teachers", "accuracy", "plain",
                   "hard", premises=PLAIN),
        ),
    ),
    Claim(
        "C5a",
        "A student can recognise a class it never saw, once its bias is raised",
        "Hinton, Vinyals, Dean 2015, section 3",
        "02",
        (digits("digits, soft targets against label smoothing", "lesson02-unseen", "threes_after", "soft", "smoothing",
                least=0.1, why="a tenth of the threes is more than a better bias gives",
                premises=(Premise("the teacher finds nine threes in ten",
                                  digits("digits", "lesson02-unseen", "threes_after", "teacher", least=0.9)),)),),
        (digits("digits, against hard labels", "lesson02-unseen", "threes_after", "soft", "hard", least=0.1, why=""),
         digits("digits, against " + SAME_CONFIDENCE, "lesson02-unseen", "threes_after", "soft", "averaged", least=0.1,
                why="")),
    ),
    Claim(
        "C5b",
        "It then finds 98.6% of them",
        "Hinton, Vinyals, Dean 2015, section 3",
        "02",
        (digits("digits, bias from validation images", "lesson02-unseen", "threes_after", "soft", within=(0.986, WIDE),
                why="the published share",
                premises=(Premise("the teacher itself finds 98.6%",
                                  digits("digits", "lesson02-unseen", "threes_after", "teacher", least=0.986)),)),),
        (digits("digits, bias from the test images, as published", "lesson02-unseen", "threes_test_bias", "soft",
                within=(0.986, WIDE), why="the published share",
                premises=(Premise("the teacher itself finds 98.6%",
                                  digits("digits", "lesson02-unseen", "threes_test_bias", "teacher", least=0.986)),)),),
    ),
    Claim(
        "C24",
        "Distillation is more than label smoothing",
        "the usual view; Yuan et al. 2020 doubt it",
        "02",
        (reviews("reviews, 5,000 sentences, against answers smoothed by the teacher's mean doubt", "lesson02-reviews",
                 "accuracy", "soft", "smoothing", premises=TAUGHT),),
        (
            reviews("reviews, 5,000 sentences, against the same doubts at other sentences", "lesson02-reviews", "accuracy",
                    "soft", "permuted", premises=TAUGHT),
            digits("digits, 100 images", "lesson02-labels", "accuracy", "100-soft", "100-smoothing", premises=FEW),
            digits(f"digits, 100 images, {SAME_CONFIDENCE}", "lesson02-labels", "accuracy", "100-soft", "100-averaged",
                   premises=FEW),
            digits("digits, all 997 images", "lesson02-labels", "accuracy", "all-soft", "all-smoothing", premises=ALL),
            digits("digits, all 997 images, a teacher trained without shifts", "lesson02-teachers", "accuracy", "plain",
                   "smoothing", premises=PLAIN),
            digits("digits, a class never shown", "lesson02-unseen", "threes_after", "soft", "smoothing"),
            language("language, smoothing on the teacher's text", "lesson04-arms", "kl", "logits", "smoothing",
                     premises=(off_the_floor("smoothing"),)),
            *corpus("text at T=1, stored draws against smoothing", "04 + 02", "kl", "logits", "smoothing"),
        ),
    ),
)  # fmt: skip

# --- Lesson 03: losses ------------------------------------------------------------------------------------------------

SAME, PERCENT = "what float64 leaves over", "one part in a hundred"
TWICE = "within a factor of two of T=1"


def gradient(setting, arm):
    return Comparison(setting, "lesson03-gradient", "with", arm, within=(0.5, 2.0), why=TWICE, rates="none")


LOSSES = (
    Claim(
        "C6a",
        "The KL loss has the same gradient as the cross-entropy between teacher and student",
        "guide A",
        "03",
        (Comparison("digits, trained models, forward KL", "lesson03-cross-entropy", "forward_kl_gradient_difference", "digits",
                    within=(-1e-6, 1e-6), why=SAME, rates="none"),),
        (
            Comparison("random logits, forward KL", "lesson03-cross-entropy", "forward_kl_gradient_difference", "random",
                       within=(-1e-6, 1e-6), why=SAME, rates="none"),
            *(Comparison(f"digits, trained models, {words}", "lesson03-cross-entropy", metric, "digits", within=(-0.01, 0.01), why=PERCENT,
                         rates="none")
              for words, metric in (("reverse KL", "reverse_kl_gradient_difference"),
                                    ("JSD at beta 0.5", "jsd_gradient_difference"))),
        ),
    ),
    Claim(
        "C6b",
        "The KL loss is the same as the cross-entropy between teacher and student",
        "guide A",
        "03",
        (Comparison("digits, trained models, value", "lesson03-cross-entropy", "value_difference", "digits",
                    within=(-0.01, 0.01), why=PERCENT, unit="of the KL", rates="none"),),
        tuple(Comparison(words, "lesson03-cross-entropy", "value_difference", arm, within=(-0.01, 0.01), why=PERCENT,
                         unit="of the KL", rates="none")
              for words, arm in (("random logits, value", "random"), ("near the teacher, value", "near"))),
    ),
    Claim(
        "C7",
        "T² keeps the soft gradient's size about constant as T changes",
        "Hinton, Vinyals, Dean 2015, section 2",
        "03",
        (gradient("digits, untrained student, T=4", "digits-start-T4"),),
        (
            gradient("digits, untrained student, T=10", "digits-start-T10"),
            *(gradient(f"digits, trained student, T={t}", f"digits-T{t}") for t in (4, 10)),
            *(gradient(f"centred logits of scale 1, T={t}", f"unit-T{t}") for t in (4, 10)),
            *(gradient(f"centred logits of scale 5, T={t}", f"scale5-T{t}") for t in (4, 10)),
            *(gradient(f"language, 22 of 30 layers, T={t}", f"smollm-T{t}") for t in (4, 10)),
        ),
        note="The derivation assumes logits that are small beside T and centred, as at the start of a training.",
    ),
    Claim(
        "C8a",
        "Without the hard-label term the student copies the teacher's errors",
        "guide A",
        "03",
        (reviews("reviews, alpha 1 against 0.5", "lesson02-reviews + lesson03-reviews", "copied", "soft", "alpha 0.5",
                 least=0.05, why="one of the teacher's errors in twenty",
                 premises=(Premise("a student of the labels alone repeats fewer, by one in twenty",
                                   reviews("reviews", "lesson02-reviews", "copied", "soft", "people", least=0.05)),)),),
        (reviews("reviews, alpha 1 against 0.9", "lesson02-reviews + lesson03-reviews", "copied", "soft", "alpha 0.9",
                 least=0.05, why="one of the teacher's errors in twenty"),
         digits("digits, planted errors, alpha 1 against 0.5", "lesson03-alpha", "copied", "planted-1", "planted-0.5",
                least=0.05, why="one planted error in twenty",
                premises=(Premise("the teacher makes the planted errors",
                                  digits("digits", "lesson03-alpha", "copied", "teacher-planted", least=0.9)),)),
         digits("digits, planted errors, alpha 1 against 0.9", "lesson03-alpha", "copied", "planted-1", "planted-0.9",
                least=0.05, why=""),),
    ),
    Claim(
        "C8b",
        "An alpha of 0.5 to 0.9 is right",
        "guide A",
        "03",
        (reviews("reviews, best of 0.5–0.9 against best of 0–0.3", "lesson03-reviews", "accuracy", "high", "low",
                 premises=TAUGHT),),
        (
            reviews("reviews, alpha 0.5 against 1", "lesson02-reviews + lesson03-reviews", "accuracy", "alpha 0.5", "soft",
                    premises=TAUGHT),
            digits("digits, sound teacher, best of 0.5–0.9 against best of 0–0.3", "lesson03-alpha", "accuracy",
                   "sound-high", "sound-low", premises=(better_teacher("lesson03-alpha", "teacher-sound", "smoothing"),)),
            digits("digits, sound teacher, alpha 0.5 against 1", "lesson03-alpha", "accuracy", "sound-0.5", "sound-1"),
            digits("digits, planted errors, best of 0.5–0.9 against best of 0–0.3", "lesson03-alpha", "accuracy",
                   "planted-high", "planted-low"),
            language("language, alpha 0.5 against 1", "lesson04-arms", "kl", "half", "logits",
                     premises=(off_the_floor("half"),)),
            *corpus("text at T=1, alpha 0.5 against 1", "03 + 04", "kl", "alpha 0.5", "logits"),
        ),
        note="Alpha weighs the teacher; 1 − alpha weighs the labels, or the teacher's text for the language model.",
    ),
)  # fmt: skip

# --- Lesson 04: logit distillation ------------------------------------------------------------------------------------


def near(setting, metric, arm, other, **more):
    """A test on a student that was trained on other sources before: a lower score of `arm` is what is claimed."""
    return reviews(setting, "lesson04-forgets", metric, arm, other, lower=True, **more)


KNOWS = Premise(
    "there is something to forget: five points on the other sources that a student has not who never saw them",
    reviews("reviews", "lesson04-forgets", "old", "not distilled", "fresh", least=0.05),
)

LOGITS = (
    Claim(
        "C9a",
        "Logit distillation works for any architecture and needs nothing but outputs",
        "guide A",
        "04",
        (language("language, GPT-NeoX from scratch, stored draws against text", "lesson04-arms", "kl", "neox", "neox text",
                  premises=(off_the_floor("neox", who="GPT-NeoX"), off_the_floor("neox text", who="GPT-NeoX on text"))),),
        (
            *(reviews(f"reviews, {words}, 5,000 probabilities against 640 labels", "lesson04-kinds", "accuracy",
                      f"{kind}, soft", f"{kind}, labels", premises=TAUGHT) for kind, words in KINDS),
            language("language, GPT-NeoX from scratch, against its start", "lesson04-arms", "kl", "neox", "neox untrained"),
        ),
    ),
    Claim(
        "C9b",
        "A different architecture is harder",
        "guide A",
        "04",
        (language("language, GPT-NeoX against Llama, both from scratch", "lesson04-arms", "kl", "neox", "llama", lower=False,
                  premises=(off_the_floor("neox", who="GPT-NeoX"), off_the_floor("llama", who="the Llama from scratch"))),),
        tuple(reviews(f"reviews, a transformer, the teacher's own kind, against {words}", "lesson04-kinds", "accuracy",
                      "transformer, soft", f"{kind}, soft", premises=TAUGHT) for kind, words in KINDS[:2]),
    ),
    Claim(
        "C23a",
        "A learning rate as high as in pre-training (here 3e-3) loses what the student knew",
        "guide A",
        "04",
        (language("language, 3e-3 against the best rate", "lesson04-arms", "kl", "fast", "logits", lower=False,
                  premises=(off_the_floor("logits"),)),),
        tuple(near(f"reviews, accuracy on what it was trained on before, pre-training's rate against a {part} of it", "old",
                   "as in pre-training", f"a {part}", premises=(KNOWS,)) for part in ("4th", "16th")),
    ),
    Claim(
        "C23b",
        "A much lower rate crawls",
        "guide A",
        "04",
        (language("language, a 32nd of 3e-3 against the best rate", "lesson04-arms", "kl", "slow", "logits", lower=False,
                  premises=(off_the_floor("logits"),)),),
        tuple(near(f"reviews, accuracy on the case, a 64th of pre-training's rate against {words}", "accuracy", "a 64th", other)
              for other, words in (("as in pre-training", "that rate"), ("a 4th", "a 4th of it"))),
        note="The best rate depends on the budget; a longer training has not been searched.",
    ),
    Claim(
        "C25",
        "Three to five epochs suffice",
        "guide A; Beyer et al. 2022: patience pays",
        "04",
        (reviews("reviews, 40 epochs gain at most a point over five", "lesson04-reviews", "accuracy", "40 epochs", "5 epochs",
                 within=(-WIDE, 0.01), premises=TAUGHT),),
        (
            reviews("reviews, 40 epochs gain at most a point over three", "lesson04-reviews", "accuracy", "40 epochs",
                    "3 epochs", within=(-WIDE, 0.01), premises=TAUGHT),
            language("language, 48 texts, ten epochs gain at most 0.1 nats over five", "lesson04-epochs", "kl", "logits 10",
                     "logits 5", lower=False, within=(-0.1, WIDE), budget="60 and 120 steps",
                     premises=(off_the_floor("logits 5", "lesson04-epochs"),)),
        ),
    ),
)  # fmt: skip

# --- Lesson 05: response distillation ---------------------------------------------------------------------------------


def behind(setting, table, arm, other, **more):
    """Text is at most a tenth of a nat behind logits."""
    return language(setting, table, "kl", arm, other, lower=False, within=(-WIDE, 0.1), **more)


DOUBLE = "half the cost is a choice; less depends on the host"

RESPONSES = (
    Claim(
        "C10",
        "Training on the teacher's text is as effective as matching its logits (at most 0.1 nats behind)",
        "guide A",
        "05",
        corpus("text at T=1, equal tokens", "04", "kl", "text", "logits", lower=False, within=(-WIDE, 0.1)),
        (
            behind("language, six layers, equal tokens", "lesson04-arms", "shallow text", "shallow logits",
                   premises=(off_the_floor("shallow text"),)),
            behind("language, 16 layers, equal tokens, 80 steps", "lesson00-distil", "text", "logits", budget="80 steps"),
            behind("language, ten layers, equal seconds, teacher in the loop", "lesson05-arms + lesson04-arms", "text longer",
                   "online", budget="equal seconds", premises=(off_the_floor("online"),)),
        ),
    ),
    Claim(
        "C22",
        "A high sampling temperature gives the diversity that students need",
        "guide A",
        "05",
        corpus("text at T=1 against 0.7", "04 + 05", "kl", "text", "text at 0.7"),
        (
            *corpus("text at T=1 against 0.7, by agreement", "04 + 05", "agreement", "text", "text at 0.7", **BY_AGREEMENT),
            *corpus("text at T=1 against 0.7, by the teacher's opinion of what the student says", "04 + 05", "judged", "text",
                    "text at 0.7"),
            language("language, text at T=1 against greedy", "lesson05-arms", "kl", "T1", "greedy"),
            language("language, text at T=1.5 against 1", "lesson05-arms", "kl", "T1.5", "T1"),
            language("language, text at T=1 against top-p 0.9", "lesson05-arms", "kl", "T1", "top-p"),
            language("language, text at T=1 against greedy, by agreement", "lesson05-arms", "agreement", "T1", "greedy",
                     lower=False, least=0.01, why="a point of agreement", unit=""),
        ),
        note="By the distance at T=1 the hotter text is nearer; by the teacher's own opinion of what a student says the "
             "cooler one is better: it aims at something sharper.",
    ),
    Claim(
        "C57",
        "LoRA is on a par with training all weights (at most 0.1 nats behind)",
        "playbook B (Zhao, Abid 2023), section 9; Hu et al. 2022",
        "05",
        corpus("text at T=1, adapters of rank 16 against all weights", "05 + 04", "kl", "lora", "text", lower=False,
               within=(-WIDE, 0.1)),
    ),
    Claim(
        "C39",
        "Batching and caching cut the teacher's cost",
        "guide A",
        "05",
        (Comparison("language, batching: 64 prompts against one", "lesson05-speed", "log2 per second", "batch", "single",
                    least=1.0, why=DOUBLE, unit="doublings", rates="none"),),
        (
            Comparison("language, caching keys and values", "lesson05-speed", "log2 per second", "batch", "without cache",
                       least=1.0, why=DOUBLE, unit="doublings", rates="none"),
            Comparison("language, caching soft targets, whole training steps", "lesson05-speed", "log2 per second", "stored",
                       "online", least=1.0, why=DOUBLE, unit="doublings", rates="none"),
        ),
    ),
)  # fmt: skip

# --- Lesson 07: chain of thought --------------------------------------------------------------------------------------


def thought(setting, table, metric, arm, other=None, **more):
    """A test on worked steps, of at least five points."""
    return Comparison(
        setting, table, metric, arm, other, **{"least": 0.05, "why": POINTS_5, "rates": "lesson07-rates"} | more
    )


ABLE = (Premise("the teacher is right nine times in ten", thought("multiplication", "lesson07-arms", "accuracy", "teacher",
                                                                 least=0.9)),)  # fmt: skip


def worked(setting, metric, arm, other=None, table="lesson07-steps", **more):
    """A test on worked steps or explanations, of at least five points, with all arms at rates of one grid."""
    plain = {"least": 0.05, "why": POINTS_5, "rates": f"{table}-rates"}
    return Comparison(setting, table, metric, arm, other, **plain | more)


def explained(setting, metric, arm, other=None, **more):
    """The same on word problems."""
    return worked(setting, metric, arm, other, table="lesson07-explained", **more)


def room(words, arm, test=worked, metric="accuracy"):
    """An arm that is off the floor, and leaves the least effect to gain."""
    return Premise(f"{words} 5% to 95% right", test("premise", metric, arm, within=(0.05, 0.95)))


def learned(words, arm, test=worked, metric="accuracy"):
    """An arm that is off the floor."""
    return Premise(f"{words} 5% right or more", test("premise", metric, arm, within=(0.05, WIDE)))


OWN = Premise("the teacher is right nine times in ten", worked("premise", "accuracy", "teacher", least=0.9))
ANSWERS, STEPS = room("answers alone get", "answer, equal tokens"), room("plain steps get", "steps")
TOLD = room("answers alone get", "answer", explained)

THOUGHT = (
    Claim(
        "C12a",
        "Students trained on reasoning beat those trained on answers",
        "guide A; Hsieh et al. 2023",
        "07",
        (worked("multiplication, a teacher's own steps, equal tokens", "accuracy", "free", "answer, equal tokens",
                premises=(OWN, ANSWERS)),),
        (
            worked("multiplication, a teacher's own steps, equal steps", "accuracy", "free", "answer",
                   premises=(OWN, room("answers alone get", "answer"))),
            worked("multiplication, a program's steps, equal tokens", "accuracy", "steps", "answer, equal tokens",
                   premises=(ANSWERS,)),
            worked("multiplication, a teacher's own steps, three digits by two, never trained on", "three digits", "free",
                   "answer, equal tokens", premises=(learned("the teacher gets", "teacher", metric="three digits"),)),
            thought("multiplication, 2,000 steps, equal tokens", "lesson07-arms", "accuracy", "teacher's steps",
                    "answer, equal tokens", premises=ABLE),
            explained("word problems, a program's explanations, equal tokens", "accuracy", "explanation", "answer",
                      premises=(TOLD,)),
            thought("word problems, equal tokens", "lesson07-words", "seen accuracy", "explanation", "answer, equal tokens",
                    rates="lesson07-word-rates"),
        ),
        note="Two-digit products and generated word problems, by students of 108 thousand weights from scratch; the sources "
             "train language models.",
    ),
    Claim(
        "C12b",
        "The gain is largest on problems of many steps",
        "guide A",
        "07",
        (worked("multiplication, a teacher's own steps, two or more carries against none", "more carries minus none",
                "free", "answer, equal tokens",
                premises=(OWN, room("with no carry steps get", "free", metric="no carry"))),),
        (
            thought("multiplication, 2,000 steps, two or more carries against none", "lesson07-arms",
                    "more carries minus none", "teacher's steps", "answer, equal tokens", premises=ABLE),
            explained("word problems, a program's explanations, four steps against one", "four steps minus one",
                      "explanation", "answer",
                      premises=(room("in one step explanations get", "explanation", explained, "accuracy, 1 steps"),)),
            thought("word problems, four steps against one", "lesson07-words", "four steps minus one", "explanation",
                    "answer, equal tokens", rates="lesson07-word-rates"),
        ),
        note="Where one arm is near 0% or 100% the gain is bounded by what is left to gain.",
    ),
    Claim(
        "C13a",
        "Detailed traces help",
        "guide A",
        "07",
        (worked("multiplication, detailed against plain steps, tokens of 1,500 steps", "accuracy", "detailed", "steps",
                premises=(STEPS, learned("detailed steps get", "detailed"))),),
        (thought("multiplication, detailed against plain steps, tokens of 2,000 steps", "lesson07-arms", "accuracy",
                 "detailed", "steps"),),
        note="At equal tokens a detailed trace is read about a third as often, and more steps may turn this: with a third more "
             "it was open.",
    ),
    Claim(
        "C13b",
        "Error analysis helps",
        "guide A",
        "07",
        (worked("multiplication, 1,500 steps each", "accuracy", "mistake", "steps",
                premises=(STEPS, learned("error analysis gets", "mistake"))),),
        (
            thought("multiplication, 2,000 steps each", "lesson07-arms", "accuracy", "mistake, equal steps", "steps"),
            thought("multiplication, tokens of 2,000 steps", "lesson07-arms", "accuracy", "mistake", "steps"),
        ),
    ),
    Claim(
        "C13c",
        "Self-verification helps",
        "guide A",
        "07",
        (worked("multiplication, 1,500 steps each", "accuracy", "verified", "steps",
                premises=(STEPS, learned("self-verification gets", "verified"))),),
        (
            worked("multiplication, 1,500 steps, the check mends its own first answer", "gain of the check", "verified",
                   premises=(learned("self-verification gets", "verified"),)),
            thought("multiplication, 2,000 steps each", "lesson07-arms", "accuracy", "verified, equal steps", "steps"),
            thought("multiplication, tokens of 2,000 steps", "lesson07-arms", "accuracy", "verified", "steps"),
        ),
    ),
    Claim(
        "C33",
        "Explanations teach more than answers",
        "guide A; Mukherjee et al. 2023 (Orca)",
        "07",
        (thought("word problems, equal tokens", "lesson07-words", "seen accuracy", "explanation", "answer, equal tokens",
                 rates="lesson07-word-rates"),),
        (
            explained("word problems, tokens of 1,000 steps of explanations", "accuracy", "explanation", "answer",
                      premises=(TOLD,)),
            explained("word problems, tokens of 1,000 steps of explanations, sentences in an order not trained on",
                      "held out accuracy", "explanation", "answer", premises=(TOLD,)),
            thought("word problems, equal steps", "lesson07-words", "seen accuracy", "explanation", "answer",
                    rates="lesson07-word-rates"),
            thought("word problems, sentences in an order not trained on", "lesson07-words", "held out accuracy",
                    "explanation", "answer, equal tokens", rates="lesson07-word-rates"),
        ),
        note="The two ran at different rates, 0.006 and 0.003, from a search on one seed.",
    ),
)  # fmt: skip

# --- Lesson 08: feature distillation ----------------------------------------------------------------------------------

STATES = "lesson08-weight + lesson08-arms"


def states(setting, arm, other, **more):
    """A test on matched states beside logits."""
    return language(setting, STATES, "kl", arm, other, **more)


NARROW = (off_the_floor("narrow logits", "lesson08-arms"),)
SCRATCH = "lesson08-reviews"
LEARNS = Premise(
    "on the probabilities alone this student is right on 60%",
    reviews("reviews", SCRATCH, "accuracy", "outputs", within=(0.6, WIDE)),
)


def scratch(setting, arm, other):
    """A test on a small transformer from scratch that has the teacher's states beside its probabilities."""
    return reviews(setting, SCRATCH, "accuracy", arm, other, premises=(*TAUGHT, LEARNS))


FEATURES = (
    Claim(
        "C11a",
        "Matching hidden states improves on outputs alone",
        "guide A; Sun et al. 2019; Jiao et al. 2020",
        "08",
        corpus("text at T=1", "08 + 04", "kl", "states", "online"),
        (
            states("language, ten of the teacher's layers, ten times the weight", "weight 10", "logits"),
            states("language, narrow student from scratch, projected", "narrow both", "narrow logits", premises=NARROW),
            states("language, narrow student from scratch, relations", "narrow relations", "narrow logits", premises=NARROW),
            *(scratch(f"reviews, a transformer from scratch, weight {weight}", f"states, weight {weight}", "outputs")
              for weight in (1, 10)),
            scratch("reviews, the same at weight 10, against states of other sentences", "states, weight 10",
                    "shuffled, weight 10"),
        ),
        note="On language the weight of ten was tried after the weight of one had shown little.",
    ),
    Claim(
        "C11b",
        "Which layers are matched matters: the teacher's at a like depth do best",
        "guide A; Sun et al. 2019; Jiao et al. 2020",
        "08",
        corpus("text at T=1, layers reversed against right", "08", "kl", "states reversed", "states", lower=False),
        (
            states("language, layers reversed against right, ten times the weight", "reversed 10", "weight 10", lower=False),
            states("language, last layers against evenly spread", "both last", "both", lower=False),
            scratch("reviews, a transformer from scratch, right layers against reversed, weight 10", "states, weight 10",
                    "reversed, weight 10"),
        ),
    ),
)  # fmt: skip

# --- Lesson 12: did it work? ------------------------------------------------------------------------------------------

SURE = "two points of confidence"
CHANCE = ("A coin has 60% of the reviews teacher's quality and 10% of the digits teacher's. The language students keep a third or "
          "more of the teacher's layers, so ten times cheaper is out of their reach: they count for quality alone. The digits "
          "student's batches were capped.")  # fmt: skip


def sure(setting, table, arm, other=None, metric="overconfidence", **more):
    return Comparison(setting, table, metric, arm, other, **{"least": 0.02, "why": SURE} | more)


def calibrated(setting, table, arm, other, metric="ece", **more):
    return Comparison(setting, table, metric, arm, other, **{"least": 0.02, "why": SURE, "lower": True} | more)


STUDENTS = {  # of C40: quality's table and arm, speed's table and arms of student and teacher, whether the size allows 10×
    "reviews, frozen word vectors": ("lesson02-reviews", "soft", "lesson12-reviews-speed", "frozen", "teacher", ""),
    "reviews, a bag of words": ("lesson04-kinds", "bag, soft", "lesson12-reviews-speed", "bag", "teacher", ""),
    "reviews, a recurrent net": ("lesson04-kinds", "gru, soft", "lesson12-reviews-speed", "gru", "teacher", ""),
    "reviews, a transformer": ("lesson04-kinds", "transformer, soft", "lesson12-reviews-speed", "transformer", "teacher", ""),
    "digits, 3,466 weights": ("lesson12-digits", "all, soft", "lesson12-speed", "digits student", "digits teacher", ""),
    "multiplication, 108 thousand weights": ("lesson12-multiplication", "student", "lesson12-speed",
                                             "multiplication student", "multiplication teacher", ""),
    "language, 10 of 30 layers": ("lesson12-language", "logits", "", "", "", SHORT),
    "language, 22 of 30 layers": ("lesson12-language", "22 layers", "", "", "", SHORT),
}  # fmt: skip


def reach(part, statement, metric, goal, why, unit="", main="reviews, frozen word vectors"):
    """One third of C40, in every student whose size allows it; `main` is the one that decides."""
    tests = []
    for setting, (table, arm, speeds, timed, teacher, budget) in STUDENTS.items():
        if metric == "transfer ratio":
            tests.append(Comparison(setting, table, metric, arm, within=(goal, WIDE), why=why, budget=budget,
                                    rates="lesson02-reviews-rates" if "reviews" in setting else ""))  # fmt: skip
        elif speeds:
            first, second = (timed, teacher) if metric == "log2 queries a second" else (teacher, timed)
            tests.append(
                Comparison(setting, speeds, metric, first, second, least=goal, why=why, unit=unit, rates="none")
            )
    decides = tuple(test for test in tests if test.setting == main)
    return Claim(
        part, statement, "guide A", "12", decides, tuple(test for test in tests if test.setting != main), CHANCE
    )


SUCCESS = (
    Claim(
        "C38a",
        "Students grow overconfident",
        "guide A",
        "12",
        (sure("reviews, the teacher's answers", "lesson02-reviews", "hard", rates="lesson02-reviews-rates"),),
        (
            sure("reviews, people's labels", "lesson02-reviews", "people", rates="lesson02-reviews-rates"),
            sure("reviews, 640 labels", "lesson02-reviews", "labels", rates="lesson02-reviews-rates"),
            sure("digits, all images, hard labels", "lesson12-digits", "all, hard"),
            sure("digits, all images, hard labels, against the teacher", "lesson12-digits", "all, hard", "teacher"),
            sure("digits, 100 images, hard labels", "lesson12-digits", "100, hard"),
            sure("language, the teacher's text", "lesson12-language", "text", budget=SHORT),
            sure("language, the teacher's text, on text that people wrote", "lesson12-language", "text",
                 metric="human: overconfidence", budget=SHORT),
        ),
    ),
    Claim(
        "C38b",
        "Soft labels cure overconfidence",
        "guide A",
        "12",
        (calibrated("reviews, calibration error", "lesson02-reviews", "soft", "hard", rates="lesson02-reviews-rates",
                    premises=(Premise("there is overconfidence to cure", sure("reviews", "lesson02-reviews", "hard")),)),),
        (
            calibrated("digits, all images", "lesson12-digits", "all, soft", "all, hard",
                       premises=(Premise("there is overconfidence to cure", sure("digits", "lesson12-digits", "all, hard")),)),
            calibrated("digits, 100 images, calibration error", "lesson12-digits", "100, soft", "100, hard"),
            calibrated("digits, 100 images, calibration error, noisy when tested", "lesson12-digits", "100, soft",
                       "100, hard", "noisy: ece"),
            calibrated("digits, all images, calibration error, noisy when tested", "lesson12-digits", "all, soft",
                       "all, hard", "noisy: ece"),
            calibrated("language, calibration error", "lesson12-language", "logits", "text", budget=SHORT),
            calibrated("language, calibration error on text that people wrote", "lesson12-language", "logits", "text",
                       "human: ece", budget=SHORT),
        ),
    ),
    Claim(
        "C38c",
        "Temperature cures overconfidence",
        "guide A",
        "12",
        (sure("reviews, the teacher's answers, fitted afterwards, calibration error", "lesson02-reviews", "hard",
              metric="scaling gains", rates="lesson02-reviews-rates",
              premises=(Premise("there is overconfidence to cure", sure("reviews", "lesson02-reviews", "hard")),)),),
        (
            sure("digits, all images, hard labels, fitted afterwards", "lesson12-digits", "all, hard", metric="scaling gains",
                 premises=(Premise("there is overconfidence to cure", sure("digits", "lesson12-digits", "all, hard")),)),
            sure("digits, 100 images, hard labels, fitted afterwards, calibration error", "lesson12-digits", "100, hard",
                 metric="scaling gains"),
            calibrated("digits, 100 images, T=4 in training against 1, calibration error", "lesson12-digits", "100, soft",
                       "100, soft, T 1"),
        ),
    ),
    reach("C40a", "Expect 80–95% of the teacher's quality; 85% is good", "transfer ratio", 0.85, "the published mark"),
    reach("C40b", "Expect a student 10 to 100 times cheaper; 10 times is good", "log2 queries a second", math.log2(10),
          "ten times", "doublings"),
    reach("C40c", "Expect a student 2 to 10 times faster; 3 times is good", "log2 p50", math.log2(3), "three times",
          "doublings"),
)  # fmt: skip

# --- Lesson 14: economics ---------------------------------------------------------------------------------------------


def option(setting, metric, arm, other=None, **more):
    return Comparison(setting, "lesson14-options", metric, arm, other, **{"unit": "doublings", "rates": "none"} | more)


def faster(setting, metric, arm):
    return option(setting, metric, arm, least=math.log2(1.25), why="a quarter more tokens a second")


def products(setting, arm, other, **more):
    return thought(setting, "lesson14-products", "accuracy", arm, other, **more)


def saw(setting, arm, other=None, table="lesson14-reviews", **more):
    """A test in which the teacher saw the labels that its rival learns from, and no more."""
    return reviews(setting, table, "accuracy", arm, other, **more)


TEACHER_SAW_ALL = ("On digits and products the teacher saw all labels of the training set, so a student of it had more of them "
                   "than its rival.")  # fmt: skip

ECONOMICS = (
    Claim(
        "C26a",
        "Quantisation is quicker to do than distillation",
        "guide A",
        "14",
        (option("language, int8 against ten distilled layers", "log2 seconds", "int8", "distilled layers", least=1.0,
                why="twice as quick", lower=True, budget=SHORT),),
    ),
    Claim(
        "C26b",
        "Quantisation speeds up less than distillation",
        "guide A",
        "14",
        (option("language, int8 against 16 layers, one prompt", "speedup, one", "int8", "layers", lower=True,
                least=math.log2(1.1), why="a tenth is within what hosts differ by"),),
        (option("language, int8 against 16 layers, 32 prompts", "speedup, batch", "int8", "layers", lower=True,
                least=math.log2(1.1), why="a tenth is within what hosts differ by"),),
    ),
    Claim(
        "C27a",
        "Pruning combines with distillation",
        "guide A; Muralidharan et al. 2024 (Minitron)",
        "14",
        (language("language, after layers are removed, distilled or not", "lesson14-options", "kl", "distilled layers",
                  "layers", premises=(off_the_floor("distilled layers", "lesson14-options"),)),),
        (
            language("language, after neurons are removed, distilled or not", "lesson14-options", "kl", "distilled neurons",
                     "neurons"),
            language("language, four layers left of the teacher against fresh ones", "lesson04-arms", "kl", "cut", "llama"),
        ),
    ),
    Claim(
        "C27b",
        "Structured pruning gives real speed",
        "guide A; Muralidharan et al. 2024 (Minitron)",
        "14",
        (faster("language, 16 of 30 layers, one prompt", "speedup, one", "layers"),),
        (
            faster("language, half the neurons, one prompt", "speedup, one", "neurons"),
            faster("language, 16 of 30 layers, 32 prompts", "speedup, batch", "layers"),
            faster("language, half the neurons, 32 prompts", "speedup, batch", "neurons"),
        ),
    ),
    Claim(
        "C28a",
        "Distillation wins with few labels",
        "guide A",
        "14",
        (saw("reviews, 640 labels for the teacher or for the student", "teacher 640", "labels 640"),),
        (
            digits("digits, a clean teacher against 100 labels", "lesson14-digits", "accuracy", "clean teacher", "labels 100"),
            saw("reviews, 2,560 labels for the teacher or for the student", "teacher 2560", "labels 2560"),
            saw("reviews, 160 labels for the teacher or for the student", "teacher 160", "labels 160", table="lesson14-few"),
            digits("digits, a clean teacher against 20 labels", "lesson14-digits", "accuracy", "clean teacher", "labels 20"),
            products("multiplication, a clean teacher against 300 labels", "clean teacher", "labels 300"),
        ),
        TEACHER_SAW_ALL,
    ),
    Claim(
        "C28b",
        "Direct training wins with many clean labels",
        "guide A",
        "14",
        (saw("reviews, 10,313 labels for the student or for the teacher", "labels all", "teacher all",
             table="lesson14-all"),),
        (
            saw("reviews, 2,560 labels for the student or for the teacher", "labels 2560", "teacher 2560"),
            digits("digits, 997 labels against a clean teacher", "lesson14-digits", "accuracy", "labels 997",
                   "clean teacher"),
            products("multiplication, 7,400 labels against a clean teacher", "labels 7400", "clean teacher"),
        ),
        TEACHER_SAW_ALL + " The two students of the products ran at different rates.",
    ),
    Claim(
        "C28c",
        "Direct training wins over a teacher that errs systematically",
        "guide A",
        "14",
        (saw("reviews, 640 labels against a teacher that turns negations round", "labels 640", "wrong 640",
             premises=(Premise("the wrong teacher errs one time in five",
                               saw("reviews", "wrong teacher", within=(-WIDE, 0.8))),)),),
        (
            digits("digits, 100 labels against a wrong teacher", "lesson14-digits", "accuracy", "labels 100", "wrong teacher"),
            digits("digits, 20 labels against a wrong teacher", "lesson14-digits", "accuracy", "labels 20", "wrong teacher"),
            products("multiplication, 300 labels against a wrong teacher", "labels 300", "wrong teacher"),
            products("multiplication, 7,400 labels against a wrong teacher", "labels 7400", "wrong teacher"),
        ),
    ),
    Claim(
        "C46",
        "At $0.03 a query against $0.001, $10,000 is earned back after about 345,000 queries: 35 days at 10,000 a day, 3.5 "
        "at 100,000",
        "guide A",
        "14",
        (Comparison("arithmetic, paid by the query", "lesson14-break-even", "queries", "by the query",
                    within=(344500, 345500), why="as printed", unit="queries", exact=True),),
        tuple(Comparison(setting, "lesson14-break-even", metric, arm, within=within, why="as printed", unit=unit, exact=True)
              for setting, metric, arm, within, unit in (
                  ("paid by the query, 10,000 a day", "days at 10,000", "by the query", (34, 36), "days"),
                  ("paid by the query, 100,000 a day", "days at 100,000", "by the query", (3.4, 3.6), "days"),
                  ("a server, 100,000 a day", "days at 100,000", "server", (3.4, 3.6), "days"),
                  ("a server, 10,000 a day", "days at 10,000", "server", (34, 36), "days"),
                  ("a server, 1,000 a day: it saves at all", "saving a day at 1,000", "server", (0, WIDE), "USD"),
              )),
    ),
)  # fmt: skip

# --- Lesson 06: synthetic data ----------------------------------------------------------------------------------------

ROOM = Premise(
    "without the teacher's errors a student is better by a point, so that a filter could matter",
    reviews("reviews", "lesson06-filters", "accuracy", "people", "random"),
)
BARELY = "a filter that finds less than five points more of the errors than chance is not worth a second reading"
ABOVE_CHANCE = Premise(
    "a student of what was written is better than chance by five points",
    reviews("reviews", "lesson06-hot", "accuracy", "1.0", "untrained", least=0.05),
)
REACHES = Premise(
    "a student of people's labels for 5,000 sentences comes up to the teacher",
    reviews("reviews", "lesson02-reviews", "accuracy", "people", "teacher", least=0.0),
)


def spots(words, arm, tables="lesson06-found"):
    """A test on the share of the teacher's errors that a filter drops with half of the sentences."""
    more = {"least": 0.05, "why": BARELY, "rates": "none", "premises": TAUGHT}
    return reviews(f"reviews, {words}, share of the teacher's errors dropped", tables, "recall", arm, "random", **more)


def filtered(words, arm, other="random", tables="lesson06-filters", premises=(*TAUGHT, ROOM)):
    """A test on a student of the 2,500 answers that a filter keeps of 5,000."""
    return reviews(f"reviews, {words}", tables, "accuracy", arm, other, premises=premises)


def amount(words, arm, other=None, **more):
    """A test on a student of so many sentences, real or written."""
    return reviews(f"reviews, {words}", "lesson06-much", "accuracy", arm, other, **more)


def heat(words, arm, other):
    """A test on a student of 600 written sentences."""
    return reviews(f"reviews, {words}", "lesson06-hot", "accuracy", arm, other, premises=(*TAUGHT, ABOVE_CHANCE))


SECOND = "A second teacher, fitted on some of the same labels, was asked; not the same teacher several times."

SYNTHETIC = (
    Claim(
        "C16a",
        "Self-consistency finds a teacher's errors",
        "guide A",
        "06",
        (spots("a teacher of 160 of the same labels agrees", "consistent"),),
        (spots("that and a teacher of 2,560 labels agree", "three agree"),),
        note=SECOND,
    ),
    Claim(
        "C16b",
        "Filtering by self-consistency helps the student",
        "guide A",
        "06",
        (filtered("a teacher of 160 of the same labels agrees, against chance at equal numbers", "consistent"),),
        (
            filtered("that and a teacher of 2,560 labels agree, against chance at equal numbers", "three agree"),
            filtered("a teacher of 160 of the same labels agrees, against all 5,000", "consistent", "all"),
        ),
        note=SECOND,
    ),
    Claim(
        "C17a",
        "Perplexity under a second model finds a teacher's errors",
        "guide A",
        "06",
        (spots("likely under SmolLM2", "likely", "lesson06-perplexity-found + lesson06-found"),),
    ),
    Claim(
        "C17b",
        "Filtering by perplexity helps the student",
        "guide A",
        "06",
        (filtered("likely under SmolLM2, against chance at equal numbers", "likely",
                  tables="lesson06-perplexity + lesson06-filters"),),
    ),
    Claim(
        "C18",
        "Checks of length and format help",
        "guide A",
        "06",
        (heat("600 written sentences that passed the checks against 600 of all", "checked", "mixed"),),
        note="Nearly all that was dropped had been cut off at the token limit: 2,429 of 3,300, and length 22.",
    ),
    Claim(
        "C19a",
        "A reward model finds a teacher's errors",
        "guide A",
        "06",
        (spots("reward of the answer, fitted on 640 labels", "reward"),),
    ),
    Claim(
        "C19b",
        "Filtering by a reward model helps the student",
        "guide A",
        "06",
        (filtered("reward of the answer, fitted on 640 labels, against chance at equal numbers", "reward"),),
        (filtered("reward of the answer, fitted on 640 labels, against all 5,000", "reward", "all"),),
    ),
    Claim(
        "C21a",
        "A reference answer of another kind finds a teacher's errors",
        "guide A",
        "06",
        (spots("a word list agrees", "rules"),),
    ),
    Claim(
        "C21b",
        "Filtering by reference answer helps the student",
        "guide A",
        "06",
        (filtered("people's answer as reference, against chance at equal numbers", "people", premises=TAUGHT),),
        (filtered("a word list's answer as reference, against chance at equal numbers", "rules"),),
    ),
    Claim(
        "C22b",
        "A high sampling temperature gives what is written the diversity that students need",
        "guide A",
        "06",
        (heat("600 sentences written at T=1.5 against T=0.5", "1.5", "0.5"),),
        (heat("600 sentences written at T=1 against T=0.5", "1.0", "0.5"),),
        note="At T=1.5 only 4% ended by themselves: variety and truncation are not told apart.",
    ),
    Claim(
        "C52",
        "The teacher's quality is the upper limit of the student's",
        "playbook B, 4",
        "06",
        (amount("the teacher against a student of 9,600 sentences", "teacher", "real 9600", premises=(*TAUGHT, REACHES)),),
    ),
    Claim(
        "C53",
        "People's labels added, and the teacher's errors taken out, help more than as much again from the teacher",
        "playbook B, 5",
        "06",
        (filtered("2,500 answers and 640 people's labels against 5,000 answers", "labels too", "all", premises=TAUGHT),),
        (filtered("2,500 right answers against 5,000 with errors", "people", "all", premises=TAUGHT),),
    ),
    Claim(
        "C55a",
        "From about a thousand to five thousand examples much is gained",
        "playbook B, 8",
        "06",
        (amount("5,000 real sentences against 1,000", "real 5000", "real 1000", premises=TAUGHT),),
    ),
    Claim(
        "C55b",
        "From five to ten thousand examples little is gained",
        "playbook B, 8",
        "06",
        (amount("9,600 real sentences against 5,000", "real 9600", "real 5000", within=(-WIDE, 0.01), premises=TAUGHT),),
    ),
)  # fmt: skip

# --- Lesson 13: when it fails -----------------------------------------------------------------------------------------

TWO = "two points are a third of what 5,000 sentences win over 640"
SICK = "lesson13-reviews"


def ails(words, metric, arm, other="sound", table=SICK, premises=(), **more):
    """A test on the runs in which a symptom was made on purpose, or cured; of two points unless it says otherwise."""
    rates = "lesson13-reviews-rates" if table == f"{SICK}-chosen" else "none"
    sound = (
        Premise("the teacher beats a sound student by five points", reviews("reviews", SICK, "accuracy", "teacher", "sound",
                                                                            least=0.05, rates="none")),
        Premise("a sound student is right on 65%", reviews("reviews", SICK, "accuracy", "sound", within=(0.65, WIDE),
                                                           rates="none")),
    )  # fmt: skip
    how = {"least": 0.02, "why": TWO, "rates": rates, "premises": (*sound, *premises)}
    return reviews(f"reviews, {words}", table, metric, arm, other, **how | more)


def ill(words, metric, arm, other="sound", table=SICK):
    """A premise: the symptom is there, by two points."""
    return Premise(words, reviews("reviews", table, metric, arm, other, lower=True, least=0.02, rates="none"))


INHERITED = (ill("the errors are inherited at these rates too", "topic", "planted", table=f"{SICK}-chosen"),)
FORGOTTEN = (ill("two points of film are forgotten", "film", "forgets", "film"),)
OVERFITTED = (ill("the narrow diet costs two points at these rates too", "accuracy", "narrow", table=f"{SICK}-chosen"),)
HOLLOW = (ill("the student that sounds like its teacher is two points worse", "accuracy", "style"),)


def unlearned(words, arm, premises=FORGOTTEN):
    """A test on what is left of film sentences after a student went on with messages."""
    return ails(words, "film", arm, "forgets", f"{SICK}-cures + {SICK}", premises)


FAILURES = (
    Claim(
        "C35a",
        "Students inherit their teacher's errors",
        "guide A",
        "13",
        (ails("a teacher that praises all that speaks of plot or players, accuracy there", "topic", "planted", lower=True),),
    ),
    Claim(
        "C35b",
        "Filtering, mixing with labels and several teachers cure inherited errors",
        "guide A",
        "13",
        (ails("without sentences on which a rule-based teacher differs", "topic", "planted, filtered", "planted",
              f"{SICK}-chosen", INHERITED),),
        (
            ails("with the labels of 640 sentences for half of the rows", "topic", "planted, labels", "planted",
                 f"{SICK}-chosen", INHERITED),
            ails("the mean of three teachers", "topic", "planted, three teachers", "planted", f"{SICK}-chosen", INHERITED),
        ),
        note="The cure that guide A names first is the main test; the other two stand beside it.",
    ),
    Claim(
        "C36a",
        "Prompts of another kind than the trained ones hurt",
        "guide A",
        "13",
        (ails("film sentences alone against film and products, accuracy on products", "product", "film", lower=True),),
    ),
    Claim(
        "C36b",
        "Realistic prompts cure a shift",
        "guide A",
        "13",
        (ails("half of the sentences from where it is used, the teacher's probabilities", "shifted", "realistic", "film",
              f"{SICK}-chosen"),),
        (ails("the same with people's labels", "shifted", "realistic, labels", "film", f"{SICK}-chosen"),),
    ),
    Claim(
        "C37a",
        "A student that is specialised forgets",
        "guide A",
        "13",
        (ails("after 2,000 messages, accuracy on film", "film", "forgets", "film", lower=True),),
    ),
    Claim(
        "C37b",
        "Mixing, a lower rate and training a part of the weights cure forgetting",
        "guide A",
        "13",
        (unlearned("half of each batch from film", "forgets, half film"),),
        (
            unlearned("a tenth of each batch from film", "forgets, replay"),
            unlearned("a sixteenth of the rate", "forgets, lower rate"),
            unlearned("one epoch", "forgets, one epoch"),
            unlearned("the last layer alone", "forgets, last layer"),
        ),
        note="Guide A names LoRA; of so small a student the last layer alone is trained.",
    ),
    Claim(
        "C41",
        "Diverse prompts cure overfitting to synthetic data",
        "guide A",
        "13",
        (ails("500 different sentences against 50 in ten near-copies", "accuracy", "diverse", "narrow", f"{SICK}-chosen",
              OVERFITTED),),
    ),
    Claim(
        "C42a",
        "Students copy a teacher's style before its substance",
        "guide A; Gudibande et al. 2023",
        "13",
        (ails("where a student as sure as its teacher and a sound one differ, how often people side with the first",
              "people prefer", "style", None, premises=HOLLOW, within=(-WIDE, 0.5)),),
        (ails("how often a judge does that takes the surer one", "judge prefers", "style", None, premises=HOLLOW,
              within=(0.5, WIDE)),),
    ),
    Claim(
        "C42b",
        "Checked data cure style without substance",
        "guide A",
        "13",
        (ails("only answers that people share", "accuracy", "style, checked", "style", f"{SICK}-cures + {SICK}", HOLLOW),),
        (ails("sentences of the task instead", "accuracy", "style, on the task", "style", f"{SICK}-cures + {SICK}", HOLLOW),),
    ),
)  # fmt: skip

# --- Lesson 10: many teachers, one's own --------------------------------------------------------------------------------

MANY, ALONE, AGAIN = "lesson10-teachers", "lesson10-case", "lesson10-again"
CEILING = Premise(
    "people's labels beat the best single teacher's student by a point, so that a better teacher could",
    reviews("reviews", MANY, "accuracy", "people", "rules"),
)
ROOM_TO_GROW = (
    Premise("a student of 640 labels is right over 55%, so that it has something to hand on",
            reviews("reviews", AGAIN, "accuracy", "labels", within=(0.55, WIDE))),
    Premise("people's labels for 5,000 sentences beat those for 640 by a point, so that there is room",
            reviews("reviews", "lesson02-reviews", "accuracy", "people", "labels")),
)  # fmt: skip


def asks(words, arm, other="ask tuned", table=MANY):
    """A test on what a teacher or a mixture says itself, without a student."""
    return reviews(f"reviews, {words}", table, "accuracy", arm, other, rates="none")


def many(words, arm, other, table=MANY, premises=(CEILING,)):
    """A test on students of one teacher or of several."""
    return reviews(f"reviews, {words}", table, "accuracy", arm, other, premises=premises)


def passes(teacher, table=MANY, arm="mean", whose="three"):
    """A test on a student against a teacher, where a student of people's labels passes that one."""
    where, people = ("four sources", table) if table == MANY else ("film and products", f"lesson02-reviews + {table}")
    best = Premise("a student of people's labels passes that teacher",
                   reviews("reviews", people, "accuracy", "people", f"ask {teacher}", least=0.0))  # fmt: skip
    words = f"{where}, a student of {whose} against {teacher} itself"
    return reviews(f"reviews, {words}", table, "accuracy", arm, f"ask {teacher}", least=0.0, premises=(best,),
                   why="to pass is to be right more often")  # fmt: skip


def again(words, arm, other="labels", **more):
    """A test on rounds in which a student teaches the next."""
    return reviews(f"reviews, {words}", AGAIN, "accuracy", arm, other, **{"premises": ROOM_TO_GROW} | more)


def slowly(words, origin):
    """As `again`, with 2,000 steps a round in place of 200: stated when the shorter rounds had been seen."""
    return reviews(f"reviews, {words}, ten times the steps, round 5 against round 1", f"{AGAIN}-long", "accuracy",
                   f"{origin}, round 5", f"{origin}, round 1", rates=f"{AGAIN}-rates", premises=ROOM_TO_GROW)  # fmt: skip


TEACHERS = (
    Claim(
        "C29a",
        "Several teachers together know more than the best of them",
        "guide A",
        "10",
        (asks("four sources, the mean of three teachers' probabilities against the best one", "ask mean"),),
        (
            asks("film and products, where one was trained for it", "ask mean", table=ALONE),
            asks("four sources, the best on each source against the best one", "ask by source"),
            asks("four sources, calibrated by source and added, against the mean", "ask calibrated by source", "ask mean"),
            asks("four sources, weighted by confidence against the mean", "ask confident", "ask mean"),
            asks("four sources, calibrated first, then weighted, against weighted", "ask confident, calibrated",
                 "ask confident"),
            asks("four sources, the surest against the mean", "ask surest", "ask mean"),
            asks("four sources, two of one kind against the better of them", "ask kin"),
        ),
    ),
    Claim(
        "C29b",
        "A student of several teachers is better than a student of the best one",
        "guide A",
        "10",
        (many("four sources, the mean of three against the one whose student is best", "mean", "rules"),),
        (
            many("four sources, the mean of three against the one that is right most often", "mean", "tuned"),
            many("four sources, the mean of three against the prompted one", "mean", "prompted"),
            many("film and products, the mean of three against the best one", "mean", "tuned", ALONE, ()),
            many("four sources, the best on each source against the one whose student is best", "by source", "rules"),
            many("four sources, calibrated by source and added, against the one whose student is best",
                 "calibrated by source", "rules"),
            many("four sources, calibrated and weighted against the mean", "confident, calibrated", "mean"),
            many("four sources, only where all three agree, against the mean", "agree", "mean"),
            many("four sources, two of one kind against the better of them", "kin", "tuned"),
            many("four sources, three unlike ones against two of one kind", "mean", "kin"),
        ),
        note="Which single teacher has the best student was seen on validation sentences, with a seed of its own.",
    ),
    Claim(
        "C29c",
        "The student can pass any of its teachers",
        "guide A",
        "10",
        (passes("tuned", ALONE),),
        (
            passes("prompted", ALONE),
            passes("rules", ALONE),
            passes("rules", ALONE, "rules", "the rules alone"),
            *(passes(name) for name in ("tuned", "prompted", "rules")),
        ),
        note="So small a student comes up to a weak teacher only, whoever teaches it.",
    ),
    Claim(
        "C30",
        "A student that teaches itself gets better round by round",
        "guide A; Furlanello et al. 2018",
        "10",
        (again("640 labels, then four rounds on 5,000 sentences, against round 1", "labels, round 5"),),
        (
            again("640 labels, round 2 against round 1", "labels, round 2"),
            again("640 labels, round 5 against round 2", "labels, round 5", "labels, round 2"),
            again("640 labels, round 5 against as many steps on the labels", "labels, round 5", "labels, 1,000 steps"),
            again("640 labels, round 5 handing on answers, against round 1", "answers, round 5"),
            again("a teacher's probabilities, round 5 against round 1", "teacher, round 5", "teacher"),
            slowly("640 labels", "labels"),
            slowly("a teacher's probabilities", "teacher"),
            again("a teacher's probabilities, round 5 against as many steps on them", "teacher, round 5",
                  "teacher, 1,000 steps"),
        ),
        note="A round is 200 steps. Best of N and STaR, which keep checked answers alone, are another claim, not tried here.",
    ),
)  # fmt: skip

# --- Lesson 09: on-policy -----------------------------------------------------------------------------------------------


def wrote(words, arm, other=None, metric="accuracy", **more):
    """A test on `multiplication`, on students that went on from one start."""
    plain = {"least": 0.02, "why": "a problem in fifty", "rates": "lesson09-multiplication-rates"}
    return Comparison(f"multiplication, {words}", "lesson09-multiplication", metric, arm, other, **plain | more)


def to_gain(traces):
    """What must hold before further updates are compared: the start is neither on the floor nor done, and can be taught."""
    inside = wrote("the start", f"{traces} start", within=(0.05, 0.95))
    return (
        Premise("the start is right on 5% to 95% of the problems", inside),
        Premise(
            "supervised distillation gains on the start",
            wrote("the start", f"{traces} soft", f"{traces} start", least=0.0),
        ),
    )


# --- Lesson 15: a law of size and data, and the edge (`reviews`) ------------------------------------------------------

FORESEES = Premise(
    "the largest student on the largest pool is better than any known one by 0.005 nats",
    reviews("reviews", "lesson15-scaling", "nats", "576 x 7680", "216 x 3840", least=0.005, lower=True, unit="nats",
            why="half of what a doubling of the pool brings"),
)  # fmt: skip


def law(words, arm, other="carried", metric="error", **more):
    """A test on how far off a form is at students it has not seen, in nats of cross-entropy to the teacher."""
    plain = {"least": 0.002, "lower": True, "unit": "nats", "rates": "lesson15-scaling-rates",
             "why": "a fifth of what the last doubling of the pool brings", "premises": (FORESEES,)}  # fmt: skip
    return Comparison(f"reviews, {words}", "lesson15-law", metric, arm, other, **plain | more)


SKILL = Premise(
    "the full student is right on 65% of the sentences",
    reviews("reviews", "lesson15-edge", "accuracy", "full", within=(0.65, WIDE)),
)


def holds(words, arm, other="full", table="lesson15-edge", **more):
    """A test that a small student is at most three points behind a larger one."""
    plain = {"within": (-0.03, WIDE), "premises": (SKILL,), "rates": "lesson15-edge-rates",
             "why": "three points are half of what 5,000 sentences win over 640 labels"}  # fmt: skip
    return reviews(f"reviews, {words}", table, "accuracy", arm, other, **plain | more)


FRONTIER_REVIEWS = (
    Claim(
        "C58",
        "A law fitted on small students foresees a larger one on more data",
        "Busbridge et al. 2025, section 4",
        "15",
        (law("three students beyond the known, the joint law against carrying the nearest on", "joint"),),
        (
            law("the joint law against a straight line in log size and log data", "joint", "line"),
            law("the joint law against the additive one", "joint", "additive"),
            law("the additive law against carrying on", "additive"),
            law("all nine students beyond the known, the joint law against carrying on", "joint", metric="all nine"),
        ),
        note="One teacher, one kind of student, a factor of two to three beyond what is known. Carrying on "
             "foresees no gain, a weak rival; the strong one is the straight line in logs.",
    ),
    Claim(
        "C49",
        "Useful skill fits in very small models",
        "guide A, outlook",
        "15",
        (holds("87 KB in int8 against 3.4 MB in float32, within three points", "small int8"),),
        (
            holds("the same in float32 against 3.4 MB, within three points", "small"),
            holds("14 KB in int8 against 3.4 MB, within three points", "tiny int8"),
            holds("a recurrent net of 90 KB in int8 against 3.4 MB, within three points", "gru int8",
                  table="lesson15-edge-gru + lesson15-edge", rates="lesson15-edge-gru-rates"),
            holds("int8 against float32 of the same 4,000 words, within a point", "small int8", "small",
                  within=(-0.01, WIDE), why=DAY),
            holds("int8 against float32 of the same 1,000 words, within a point", "tiny int8", "tiny",
                  within=(-0.01, WIDE), why=DAY),
            holds("87 KB in int8 against the teacher itself, within three points", "small int8", "teacher"),
        ),
        note="Tested is that a small student is not much below a full one. The same 87 KB from people's "
             "labels alone were not run; one answer for all is right on 51.3%.",
    ),
)  # fmt: skip

# --- Lesson 15: across modalities ---------------------------------------------------------------------------------------

SAID = "lesson15-digits"
ACROSS_ROOM = (
    Premise("the image teacher is right on over 80% of the images",
            digits("digits", SAID, "accuracy", "ask image teacher", within=(0.8, 1.0), rates="none")),
    Premise("people's labels for 700 sentences beat those for 50 by five points, so that there is room",
            digits("digits", SAID, "accuracy", "people", "labels", least=0.05, rates=f"{SAID}-rates")),
)  # fmt: skip


def told(words, arm, other, **more):
    """A test on students that read sentences about images."""
    plain = {"least": 0.05, "why": POINTS_5, "rates": f"{SAID}-rates", "premises": ACROSS_ROOM}
    return digits(f"digits, {words}", SAID, "accuracy", arm, other, **plain | more)


ACROSS = (
    Claim(
        "C50",
        "Distillation crosses modalities",
        "guide A; Gupta, Hoffman, Malik 2016",
        "15",
        (told("sentences, an image teacher's probabilities for 700 pairs against 50 labels", "soft", "labels"),),
        (
            told("sentences, the image teacher's probabilities against 200 labels", "soft", "labels 200"),
            told("sentences, the image teacher's probabilities against a text student's for the same", "soft", "own"),
            told("sentences, the image teacher's probabilities against another image's", "soft", "shuffled"),
            told("sentences, for the same 50 its probabilities against people's labels", "soft 50", "labels"),
            told("sentences, the image teacher's probabilities against its answers", "soft", "hard", least=0.01,
                 why="a point is six of 600 sentences"),
            told("sentences, the image teacher's probabilities against people's labels for all 700", "soft", "people",
                 least=0.01, why="a point is six of 600 sentences"),
        ),
        note="Sizes and the number of traits were chosen on one other seed, on its test images. The image "
             "teacher had 297 labelled images.",
    ),
)  # fmt: skip

# --- Lesson 15: a teacher trained to teach ------------------------------------------------------------------------------

FRIENDLY = "lesson15-friendly"
TO_TEACH = (
    Premise("the ensemble is right more often than the teacher trained to teach",
            digits("digits", FRIENDLY, "accuracy", "ask ensemble", "ask friendly", least=0.0, rates="none")),
    Premise("people's labels beat the students of the teacher trained to teach by a point, so that there is room",
            digits("digits", FRIENDLY, "accuracy", "people", "friendly", rates=f"{FRIENDLY}-rates")),
)  # fmt: skip


def taught(words, arm, other, **more):
    """A test on students of a teacher trained to teach."""
    return digits(f"digits, {words}", FRIENDLY, "accuracy", arm, other,
                  **{"rates": f"{FRIENDLY}-rates", "why": POINT, "premises": TO_TEACH} | more)  # fmt: skip


TAUGHT = (
    Claim(
        "C48",
        "A teacher trained for teaching makes better students than a stronger one",
        "guide A; Park et al. 2021",
        "15",
        (taught("697 images, a teacher trained to teach against an ensemble of three", "friendly", "ensemble"),),
        (
            taught("the same at temperature 4", "friendly, T 4", "ensemble, T 4"),
            taught("a teacher trained to teach against the same body trained plainly", "friendly", "plain", premises=()),
            taught("an ensemble of three against one of them", "ensemble", "plain", premises=()),
        ),
        note="Weight and sizes were chosen on one other seed, on its test images; its students were seen "
             "there. One weight, and one temperature of the branch; the ensemble ran at 0.008, where 0.016 "
             "was better on all three search seeds.",
    ),
)  # fmt: skip

# --- Lesson 15: a draft model, and a thinking teacher's traces ----------------------------------------------------------


def drafts(words, arm, other=None, metric="shared", **more):
    """A test on draft models, by the share of their tokens that the teacher accepts."""
    plain = {"least": 0.02, "budget": "20,000 tokens", "rates": "lesson15-drafts-rates",
             "why": "with four tokens drafted and a quarter accepted, two points are 3% more tokens a pass"}  # fmt: skip
    return Comparison(f"language, {words}", "lesson15-drafts", metric, arm, other, **plain | more)


def thoughts(words, arm, other=None, **more):
    """A test on `multiplication`, on students of traces at equal tokens."""
    plain = {"least": 0.02, "why": "a problem in fifty", "rates": "lesson15-thoughts-rates"}
    return Comparison(f"multiplication, {words}", "lesson15-thoughts", "accuracy", arm, other, **plain | more)


OFF_FREQUENCIES = (
    Premise(
        "a draft of the text alone is accepted two points more often than word frequencies",
        drafts("the text", "text", "frequencies"),
    ),
    Premise(
        "distillation leaves room below what the draft's vocabulary allows",
        drafts("draws", "draws", metric="room", least=0.05, why="less is reached by a larger vocabulary"),
    ),
)
WHOLE = (
    Premise(
        "students of whole thoughts are right on 5% to 95% of the problems",
        thoughts("long thoughts", "long", within=(0.05, 0.95)),
    ),
)

DRAFTED = (
    Claim(
        "C59",
        "A draft model distilled from its teacher is accepted more often than one that learned the same text",
        "DistillSpec (Zhou et al. 2024)",
        "15",
        (drafts("draws of its distribution against the text alone", "draws", "text", premises=OFF_FREQUENCIES),),
        (
            drafts("draws against the four layers as cut", "draws", "cut"),
            drafts("accepted tokens, counted, draws against the text alone", "draws", "text", "accepted",
                   premises=OFF_FREQUENCIES),
        ),
        note="One short training and five seeds: the interval holds the threshold, all five point one way. "
             "DistillSpec trains long and on the draft's own text.",
    ),
    Claim(
        "C60",
        "The acceptance rate is one minus the total variation of draft and teacher",
        "Leviathan et al. 2023, section 3.3",
        "15",
        (drafts("what was accepted, less one minus total variation, draws", "draws", metric="accepted less shared",
                within=(-0.01, 0.01), least=0.0, why="a point is half of what distilling should bring"),),
        (
            drafts("the same, the text alone", "text", metric="accepted less shared", within=(-0.01, 0.01), least=0.0,
                   why="a point is half of what distilling should bring"),
            drafts("the same, as cut", "cut", metric="accepted less shared", within=(-0.01, 0.01), least=0.0, rates="none",
                   why="a point is half of what distilling should bring"),
        ),
        note="An identity in expectation, E[min(1, p/q)] = Σ min(p, q): a check of the code.",
    ),
)  # fmt: skip


THINKING = (
    Claim(
        "C61",
        "A long thought that was cut teaches less than a whole one",
        "Li et al. 2025, LLMs can easily learn to reason from demonstrations",
        "15",
        (
            thoughts(
                "long thoughts against the same cut at half their length, equal tokens", "long", "cut", premises=WHOLE
            ),
        ),
        (
            thoughts("long thoughts against short ones, equal tokens", "long", "short", premises=WHOLE),
            thoughts("short thoughts against long ones cut, equal tokens", "short", "cut"),
            thoughts("long thoughts cut against the answer alone, equal tokens", "cut", "answer"),
        ),
        note="One kind of problem, and thoughts that a rule wrote.",
    ),
)


def streamed(words, arm, other=None, metric="accuracy", **more):
    """A test on a stream of product, then newspaper sentences, after a start on film."""
    plain = {
        "least": 0.02,
        "why": "for less than 800 of 40,000 sentences a day nobody keeps asking",
        "rates": "lesson09-stream-rates",
    }
    return Comparison(f"reviews, {words}", "lesson09-stream", metric, arm, other, **plain | more)


AHEAD = Premise(
    "the teacher is five points ahead of the student that stays as it was", streamed("", "teacher", "still", least=0.05)
)

ON_POLICY = (
    Claim(
        "C47",
        "Online distillation follows a drifting stream",
        "guide A",
        "09",
        (streamed("asking the teacher all, with replay, against staying as it was", "replay", "still", premises=(AHEAD,)),),
        (
            streamed("product sentences alone, the same", "replay", "still", "product"),
            streamed("newspaper sentences alone, the same", "replay", "still", "newspaper"),
            streamed("without replay, against staying as it was", "follow", "still"),
            streamed("film at the end, without replay against staying as it was", "follow", "still", "film"),
            streamed("film at the end, with replay against staying as it was", "replay", "still", "film"),
            streamed("a quarter asked where it is unsure, against a quarter drawn", "unsure", "random"),
            streamed("a quarter asked at most, after alarms, against a quarter drawn", "alarm", "random"),
            streamed("a quarter drawn, against asking all", "random", "replay"),
        ),
        note="One student on frozen word vectors, one order of sources.",
    ),
    Claim(
        "C51",
        "On-policy distillation beats learning from the teacher's own texts at equal teacher cost",
        "GKD (Agarwal et al. 2024), section 4; Thinking Machines 2025",
        "09",
        (wrote("500 traced problems, on-policy against supervised, equal updates", "few own", "few soft",
               premises=to_gain("few")),),
        (
            wrote("500 traced problems, on-policy against supervised, equal time", "few own", "few soft, equal time",
                  premises=to_gain("few")),
            wrote("500 traced problems, on-policy against the start's own texts again", "few own", "few again"),
            wrote("500 traced problems, on-policy against cross-entropy of new texts", "few own", "few text"),
            wrote("500 traced problems, half and half (GKD) against supervised", "few mixed", "few soft"),
            wrote("500 traced problems, on-policy by Jensen-Shannon against supervised", "few own, beta 0.5", "few soft"),
            wrote("500 traced problems, on-policy against right or wrong alone", "few own", "few reward"),
            wrote("all problems traced, on-policy against supervised, equal updates", "many own", "many soft",
                  premises=to_gain("many")),
            wrote("500 traced problems, KL to the teacher on its own text, on-policy against supervised", "few own", "few soft",
                  "reverse on its own", lower=True, least=0.01, why="a fiftieth of what a start has"),
        ),
    ),
)  # fmt: skip

WRITING = (  # stated; they join CLAIMS with their runs
    *THINKING,
)  # fmt: skip

CLAIMS = (
    *TEMPERATURE,
    *DARK,
    *LOSSES,
    *LOGITS,
    *RESPONSES,
    *SYNTHETIC,
    *THOUGHT,
    *FEATURES,
    *ON_POLICY,
    *TEACHERS,
    *SUCCESS,
    *FAILURES,
    *ECONOMICS,
    *FRONTIER_REVIEWS,
    *ACROSS,
    *TAUGHT,
    *DRAFTED,
)
