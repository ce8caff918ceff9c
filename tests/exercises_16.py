"""Right and plausible wrong answers to the exercises of lesson 16."""

import re

import pandas as pd

from distill_lessons import project

# --- 16.1 -------------------------------------------------------------------------------------------------------------

FIXES = [
    ('text = "text"', 'text = "bericht"'),
    ('label = "label"', 'label = "urteil"'),
    ('kind = "rule"', 'kind = "probabilities"'),
    ('words = { gut = ["bato"], schlecht = ["gira"] }', 'columns = { gut = "p_gut", schlecht = "p_schlecht" }'),
]


def mended(folder, *fixes):
    path = folder / "project.toml"
    text = path.read_text(encoding="utf-8")
    for old, new in fixes:
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def classes_of(student, texts):
    return [student.classes[place] for place in project.probabilities(student, texts).argmax(1).tolist()]


def answers(folder, texts):
    mended(folder, *FIXES)
    project.distil(folder)
    return classes_of(project.load(folder / "student"), texts)


def answers_by_stages(folder, texts):
    mended(folder, *FIXES)
    about = project.settings(folder)
    table = project.read(about)
    split = project.split(about, table)
    teacher = project.teach(about, table, split)
    data = project.select(about, table, split, teacher)
    learned = project.learn(about, table, split, teacher, data)
    project.save(project.student_of(about, split, learned), folder / "student")
    return tuple(classes_of(project.load(folder / "student"), texts))


def answers_with_a_new_table(folder, texts):
    table = pd.read_csv(folder / "texts.csv", sep=";").rename(
        columns={"bericht": "text", "urteil": "label", "p_gut": "gut", "p_schlecht": "schlecht"}
    )
    table.to_csv(folder / "texts.csv", index=False)
    mended(folder, FIXES[2], (FIXES[3][0], ""))
    project.distil(folder)
    rows = [project.table.Row(number, {"text": text}) for number, text in enumerate(texts, 1)]
    return [answer.label for answer in project.predict(project.load(folder / "student"), rows)]


def answers_of_the_rule(folder, texts):
    mended(folder, *FIXES[:2])
    project.distil(folder)
    return classes_of(project.load(folder / "student"), texts)


def answers_unmended(folder, texts):
    project.distil(folder)
    return classes_of(project.load(folder / "student"), texts)


def answers_turned(folder, texts):
    mended(folder, *FIXES[:3], (FIXES[3][0], 'columns = { gut = "p_schlecht", schlecht = "p_gut" }'))
    mended(folder, ('label = "urteil"', 'label = ""\nclasses = ["gut", "schlecht"]'))
    project.distil(folder)
    return classes_of(project.load(folder / "student"), texts)


def answers_without_a_student(folder, texts):
    return ["gut"] * len(texts)


def answers_as_probabilities(folder, texts):
    mended(folder, *FIXES)
    project.distil(folder)
    return project.probabilities(project.load(folder / "student"), texts)[:, 0].tolist()


def answers_of_one_class(folder, texts):
    answers(folder, texts)
    return ["gut"] * len(texts)


def answers_of_some(folder, texts):
    return answers(folder, texts)[:100]


# --- 16.2 -------------------------------------------------------------------------------------------------------------


def plain(text):
    return text.strip().lower()


def fault(report):
    train, test = ({plain(text) for text in report[part]} for part in ("train", "test"))
    if train & test:
        return "leak"
    if test & {plain(text) for text in report["teacher_read"]}:
        return "teacher saw the test"
    if min(report["classes"].values()) == 0:
        return "one class"
    best = min(report["trials"], key=lambda one: one["validation"])
    return "sound" if best["rate"] == report["kept"] else "chosen on the test"


def fault_in_loops(report):
    shared = [1 for a in report["train"] for b in report["test"] if a.casefold().split() == b.casefold().split()]
    seen = [1 for a in report["teacher_read"] for b in report["test"] if a.casefold().split() == b.casefold().split()]
    kept = [one for one in report["trials"] if one["rate"] == report["kept"]][0]
    wrong = any(one["validation"] < kept["validation"] for one in report["trials"])
    one = len([name for name, count in report["classes"].items() if count > 0]) < 2
    names = ("leak", "teacher saw the test", "one class", "chosen on the test")
    return next((name for name, is_it in zip(names, (shared, seen, one, wrong)) if is_it), "sound")


def fault_by_numbers(report):
    keys = {part: pd.Series(report[part]).str.strip().str.lower() for part in ("train", "test", "teacher_read")}
    trials = pd.DataFrame(report["trials"]).set_index("rate")
    checks = {
        "leak": keys["test"].isin(keys["train"]).any(),
        "teacher saw the test": keys["teacher_read"].isin(keys["test"]).any(),
        "one class": 0 in report["classes"].values(),
        "chosen on the test": trials["validation"].idxmin() != report["kept"],
    }
    return [*[name for name, found in checks.items() if found], "sound"][0]


def fault_exact_texts(report):
    if set(report["train"]) & set(report["test"]):
        return "leak"
    return fault(report | {"train": []})


def fault_never_teacher(report):
    return fault(report | {"teacher_read": []})


def fault_teacher_in_training(report):
    read = {plain(text) for text in report["teacher_read"]}
    return "teacher saw the test" if read & {plain(text) for text in report["train"]} else fault(report)


def fault_best_on_test_is_sound(report):
    best = min(report["trials"], key=lambda one: one["test"])
    found = fault(report)
    return found if found in ("leak", "teacher saw the test", "one class") else (
        "sound" if best["rate"] == report["kept"] else "chosen on the test")  # fmt: skip


def fault_highest_is_best(report):
    best = max(report["trials"], key=lambda one: one["validation"])
    found = fault(report)
    return found if found not in ("sound", "chosen on the test") else (
        "sound" if best["rate"] == report["kept"] else "chosen on the test")  # fmt: skip


def fault_not_one_class(report):
    return fault(report | {"classes": {"no": 1, "yes": 1}})


def fault_imbalance(report):
    return "one class" if len(set(report["classes"].values())) > 1 else fault(report)


def fault_always_sound(report):
    return "sound"


def fault_lowers_in_place(report):
    report["train"] = [plain(text) for text in report["train"]]
    report["test"] = [plain(text) for text in report["test"]]
    return fault(report)


# --- 16.3 -------------------------------------------------------------------------------------------------------------


def decide(report):
    against, margin, days = report["against_teacher"], report["margin"], report["days"]
    if against["high"] < -margin:
        return "keep the teacher", against["high"]
    if against["low"] < -margin:
        return "label more", report["needed"] - report["items"]
    if days is None or days > report["horizon"]:
        return "keep the teacher", float("inf") if days is None else days
    if report["against_control"]["low"] <= 0:
        return "no teacher needed", report["against_control"]["low"]
    return "ship", days


def decide_backwards(report):
    against, days = report["against_teacher"], report["days"] or float("inf")
    found = ["ship", days]
    if not report["against_control"]["low"] > 0:
        found = ["no teacher needed", report["against_control"]["low"]]
    if not days <= report["horizon"]:
        found = ["keep the teacher", days]
    if not against["low"] >= -report["margin"]:
        found = ["label more", str(report["needed"] - report["items"])]
    if not against["high"] >= -report["margin"]:
        found = ["keep the teacher", against["high"]]
    return found


def decide_as_if_never(report):
    return decide(report | {"days": 1e308 if report["days"] is None else report["days"]}) if report["days"] else (
        decide(report))  # fmt: skip


def decide_by_zero(report):  # "significantly worse", whatever the margin
    if report["against_teacher"]["high"] < 0:
        return "keep the teacher", report["against_teacher"]["high"]
    return decide(report)


def decide_open_is_good(report):  # no difference shown, so none there is
    low = max(report["against_teacher"]["low"], -report["margin"])
    return decide(report | {"against_teacher": report["against_teacher"] | {"low": low}})


def decide_open_is_worse(report):
    found = decide(report)
    return ("keep the teacher", report["against_teacher"]["low"]) if found[0] == "label more" else found


def decide_money_first(report):
    days = report["days"] or float("inf")
    return ("keep the teacher", days) if days > report["horizon"] else decide(report)


def decide_without_control(report):
    return decide(report | {"against_control": {"low": 1.0, "high": 1.0}})


def decide_control_first(report):
    low = report["against_control"]["low"]
    return ("no teacher needed", low) if low <= 0 else decide(report)


def decide_needed_in_all(report):
    found = decide(report)
    return (found[0], report["needed"]) if found[0] == "label more" else found


def decide_word_alone(report):
    return decide(report)[0]


def decide_margin_for_all(report):
    found = decide(report)
    return found[0], report["margin"]


# --- 16.4 -------------------------------------------------------------------------------------------------------------


def number_of(claim):
    return int(re.sub(r"\D", "", claim)), claim


def good(row):
    return row["verdict"] == "supported" and row["grade"] in "AB" and not row["against"]


def lean_on(rows):
    main = [row for row in rows if row["role"] == "main"]
    bad = {row["claim"] for row in main if not good(row)}
    return sorted({row["claim"] for row in main} - bad, key=number_of)


def lean_on_by_pandas(rows):
    table = pd.DataFrame(rows)
    table = table[table.role == "main"]
    fine = (table.verdict == "supported") & table.grade.isin(["A", "B"]) & (table.against == "")
    found = fine.groupby(table.claim).all()
    return sorted(found[found].index, key=lambda claim: (int(claim.strip("Cabc")), claim))


def lean_on_by_hand(rows):
    found = {}
    for row in rows:
        if row["role"] == "main":
            found[row["claim"]] = found.get(row["claim"], True) and good(row)
    return tuple(claim for claim in sorted(found, key=number_of) if found[claim])


def lean_on_everything(rows):
    bad = {row["claim"] for row in rows if not good(row)}
    return sorted({row["claim"] for row in rows} - bad, key=number_of)


def lean_on_any(rows):
    return sorted({row["claim"] for row in rows if row["role"] == "main" and good(row)}, key=number_of)


def lean_on_with_contradictions(rows):
    return lean_on([row | {"against": ""} for row in rows])


def lean_on_any_grade(rows):
    return lean_on([row | {"grade": "A"} for row in rows])


def lean_on_grade_a(rows):
    return lean_on([row | {"grade": "D" if row["grade"] == "B" else row["grade"]} for row in rows])


def lean_on_as_text(rows):
    return sorted(lean_on(rows))


def lean_on_rows(rows):
    found = set(lean_on(rows))
    return sorted([row["claim"] for row in rows if row["claim"] in found], key=number_of)


def lean_on_weaker_too(rows):
    return lean_on([row | {"verdict": row["verdict"].replace("weaker than claimed", "supported")} for row in rows])


def lean_on_a_number(rows):
    return len(lean_on(rows))


# --- 16.5 -------------------------------------------------------------------------------------------------------------


def rule(good, bad, find=r"\w+", turns=("not", "never"), extra=1, fold=str.lower):
    def judge(text):
        words = re.findall(find, fold(text))
        positive = negative = 0
        for before, word in zip(["", *words], words):
            if word in good or word in bad:
                if (word in good) != (before in turns):
                    positive += 1
                else:
                    negative += 1
        every = positive + negative
        if not every:
            return None
        p = (positive + extra) / (every + 2 * extra)
        return {"positive": p, "negative": 1 - p}

    return judge


class Counting:
    def __init__(self, good, bad):
        self.sides = {word: 1 for word in good} | {word: -1 for word in bad}

    def __call__(self, text):
        text = re.sub(r"[^\w\s]", " ", text.casefold())
        signs, turned = [], False
        for word in text.split():
            if word in self.sides:
                signs.append(-self.sides[word] if turned else self.sides[word])
            turned = word in {"not", "never"}
        if signs:
            share = (signs.count(1) + 1) / (len(signs) + 2)
            return {"negative": 1 - share, "positive": share}


def rule_as_a_class(good, bad):
    return Counting(good, bad)


def rule_by_patterns(good, bad):
    def count(words, text):
        pattern = rf"\b({'|'.join(words)})\b"
        every = len(re.findall(pattern, text))
        turned = len(re.findall(rf"\b(?:not|never)\W+{pattern}", text))
        return every - turned, turned

    def judge(text):
        text = text.lower()
        (plus, minus), (less, more) = count(good, text), count(bad, text)
        total = plus + minus + less + more
        return (
            {"positive": (plus + more + 1) / (total + 2), "negative": (minus + less + 1) / (total + 2)}
            if total
            else None
        )

    return judge


def rule_without_not(good, bad):
    return rule(good, bad, turns=())


def rule_not_alone(good, bad):
    return rule(good, bad, turns=("not",))


def rule_with_capitals(good, bad):
    return rule(good, bad, fold=str)


def rule_with_full_stops(good, bad):
    return rule(good, bad, find=r"\S+")


def rule_too_sure(good, bad):
    return rule(good, bad, extra=0)


def rule_half_for_nothing(good, bad):
    judge = rule(good, bad)
    return lambda text: judge(text) or {"positive": 0.5, "negative": 0.5}


def rule_of_classes(good, bad):
    judge = rule(good, bad)
    return lambda text: max(judge(text) or {"positive": 1}, key=(judge(text) or {"positive": 1}).get)


def rule_turned(good, bad):
    return rule(bad, good)


def rule_within_words(good, bad):
    def judge(text):
        plus, minus = (sum(text.lower().count(word) for word in words) for words in (good, bad))
        return (
            {"positive": (plus + 1) / (plus + minus + 2), "negative": (minus + 1) / (plus + minus + 2)}
            if plus + minus
            else None
        )

    return judge


def rule_that_judges(good, bad):
    return rule(good, bad)("warm")


RIGHT = {"16.1": answers, "16.2": fault, "16.3": decide, "16.4": lean_on, "16.5": rule}
ALSO_RIGHT = {
    "16.1": [answers_by_stages, answers_with_a_new_table],
    "16.2": [fault_in_loops, fault_by_numbers],
    "16.3": [decide_backwards, decide_as_if_never],
    "16.4": [lean_on_by_pandas, lean_on_by_hand],
    "16.5": [rule_as_a_class, rule_by_patterns],
}
WRONG = {
    "16.1": [
        answers_of_the_rule,
        answers_unmended,
        answers_turned,
        answers_without_a_student,
        answers_as_probabilities,
        answers_of_one_class,
        answers_of_some,
    ],
    "16.2": [
        fault_exact_texts,
        fault_never_teacher,
        fault_teacher_in_training,
        fault_best_on_test_is_sound,
        fault_highest_is_best,
        fault_not_one_class,
        fault_imbalance,
        fault_always_sound,
        fault_lowers_in_place,
    ],
    "16.3": [
        decide_by_zero,
        decide_open_is_good,
        decide_open_is_worse,
        decide_money_first,
        decide_without_control,
        decide_control_first,
        decide_needed_in_all,
        decide_word_alone,
        decide_margin_for_all,
    ],
    "16.4": [
        lean_on_everything,
        lean_on_any,
        lean_on_with_contradictions,
        lean_on_any_grade,
        lean_on_grade_a,
        lean_on_as_text,
        lean_on_rows,
        lean_on_weaker_too,
        lean_on_a_number,
    ],
    "16.5": [
        rule_without_not,
        rule_not_alone,
        rule_with_capitals,
        rule_with_full_stops,
        rule_too_sure,
        rule_half_for_nothing,
        rule_of_classes,
        rule_turned,
        rule_within_words,
        rule_that_judges,
    ],
}
