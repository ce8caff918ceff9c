"""The report: one HTML page that needs nothing else, and the student's card in Markdown. Neither holds a text of the table."""

import base64
import html
import io
import math
import shlex

from matplotlib.figure import Figure

from distill_lessons import runtime
from distill_lessons.project import exporting, teaching
from distill_lessons.project.config import Settings
from distill_lessons.project.stages import Result

PAGE, CARD = "report.html", f"{exporting.FOLDER}/README.md"
STYLE = """
body { font: 17px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1, h2 { line-height: 1.2; } table { border-collapse: collapse; margin: 1rem 0; } img { max-width: 100%; }
th, td { border-bottom: 1px solid #ccc; padding: .25rem .8rem .25rem 0; text-align: left; } .verdict { font-size: 1.15em; }
"""
SHOWN = 20  # rows that were left out


def report(settings: Settings, done: dict[str, Result], tell=None) -> Result:
    """Write ``report.html`` and the student's card: values files (name to SHA-256)."""
    inputs = {"name": settings.folder.resolve().name, "stages": {name: one.key for name, one in done.items()}}

    def make():
        pages = {PAGE: page(settings, done), CARD: card(settings, done)}
        for name, content in pages.items():
            with runtime.replacing(settings.folder / name) as temporary:
                temporary.write_text(content, encoding="utf-8")
        return {"files": exporting.digests(settings.folder, list(pages))}, {}

    return exporting.with_files(settings, "report", inputs, make, tell)


# --- In words ---------------------------------------------------------------------------------------------------------


def sentences(done: dict[str, Result]) -> list[str]:
    """The findings, a sentence each, the most important first."""
    judged, student = done["evaluation"].values, done["student"].values
    said = []
    if judged["against_teacher"]:
        said.append(f"The student against its teacher: {judged['against_teacher']['words']}.")
    for name, found in judged["accuracy"].items():
        said.append(f"{name.capitalize()}: right on {found['value']:.1%} [{found['low']:.1%}, {found['high']:.1%}] of "
                    f"{found['items']} labelled test texts.")  # fmt: skip
    if judged["against_control"]:
        found = judged["against_control"]
        said.append(f"Against the same student on labels alone: {100 * found['difference']:+.1f} points "
                    f"[{100 * found['low']:+.1f}, {100 * found['high']:+.1f}].")  # fmt: skip
    elif "why_not" in done["control"].values:
        said.append(f"What the labels alone would have done was not tried: {done['control'].values['why_not']}.")
    if judged["agreement"]:
        said.append(f"By agreement: {judged['agreement']['words']}.")
    return [*said, *limits(judged), f"The student is a {student['kind']}, trained on {student['rows']:,} texts at a rate of "
            f"{student['rate']:.2g}, chosen by {student['validation']} validation rows ({student['chosen_by']})."]  # fmt: skip


def limits(judged: dict) -> list[str]:
    """What so small a test can and cannot say."""
    if not judged["accuracy"]:
        return [f"{judged['labelled']} test texts have a label, too few to tell an accuracy: label at least a hundred."]
    found = judged["accuracy"]["student"]
    half = (found["high"] - found["low"]) / 2
    said = [f"On {found['items']} test texts an accuracy is known to ±{100 * half:.1f} points. Differences smaller than that, "
            "and classes with few texts, it cannot show; texts from elsewhere it says nothing about."]  # fmt: skip
    rare = [one["class"] for one in judged["classes"] if one["texts"] < 30]
    if rare:
        said.append(f"Under 30 test texts each: {', '.join(rare)}. Their rows are hints.")
    return said


# --- The page ---------------------------------------------------------------------------------------------------------


def page(settings: Settings, done: dict[str, Result]) -> str:
    """The whole page as text."""
    name = html.escape(settings.folder.resolve().name)
    said = [f"<p{' class=verdict' if not at else ''}>{html.escape(one)}</p>" for at, one in enumerate(sentences(done))]
    parts = [
        ("What was found", "\n".join(said) + accuracies(done)),
        ("The table", rows_told(done)),
        ("The teacher", teacher_told(settings, done) + filters_told(done)),
        ("The student", trials_told(done)),
        ("Class by class", classes_told(done)),
        ("Is it as sure as it is right?", calibration_told(done)),
        ("What it costs", cost_told(done)),
        ("Files", files_told(done)),
        ("Made with", table_of(["", ""], [[each, value] for each, value in runtime.machine_stamp().items()])),
    ]
    body = "\n".join(f"<section><h2>{title}</h2>\n{content}</section>" for title, content in parts)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{name}: a student</title>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n<body><h1>{name}</h1>\n{body}\n</body></html>\n'


def table_of(header: list, rows: list[list]) -> str:
    """A table as HTML; every cell is escaped."""
    top = "".join(f"<th scope=col>{html.escape(str(each))}</th>" for each in header)
    lines = ["".join(f"<td>{html.escape(str(each))}</td>" for each in row) for row in rows]
    return f"<table><thead><tr>{top}</tr></thead><tbody>{''.join(f'<tr>{line}</tr>' for line in lines)}</tbody></table>"


def sentence(words: str) -> str:
    """Words as a sentence; names in capitals stay so."""
    return f"{words[0].upper()}{words[1:]}."


def command(settings: Settings, student) -> str:
    """How the student is asked about a table like the one it learned from."""
    column = settings.table.text
    return f"distill-lessons predict {student} texts.csv" + (
        f" --column {shlex.quote(column)}" if column != "text" else ""
    )


def paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def picture(figure: Figure, words: str) -> str:
    """A figure within the page, and what it shows for those who do not see it."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    return f'<img alt="{html.escape(words)}" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'


def plain(text: str) -> str:
    """A label for a figure, in which a dollar sign is one."""
    return text.replace("$", r"\$")


def axes_of(title: str, x: str, y: str, height: float = 3.2, figure: Figure | None = None):
    figure = figure or Figure()
    figure.set_size_inches(7, height)
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y)
    axes.set_title(plain(title), loc="left", fontweight="bold", fontsize="medium")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure, axes


def accuracies(done):
    found = done["evaluation"].values["accuracy"]
    if not found:
        return ""
    told = "; ".join(
        f"{name} {one['value']:.1%}, from {one['low']:.1%} to {one['high']:.1%}" for name, one in found.items()
    )
    return picture(accuracy_figure(found), f"Accuracies: {told}")


def accuracy_figure(found: dict[str, dict], figure: Figure | None = None) -> Figure:
    """The report's main figure: accuracies by name, each value, low and high, as `judging.evaluate` gives them.

    Args:
        figure: an empty one to draw on, one of pyplot's in a notebook; a new one by default.
    """
    figure, axes = axes_of(f"The student is right {found['student']['value']:.1%} of the time", "accuracy on labelled test "
                           "texts, with 95% intervals", "", 0.9 + 0.5 * len(found), figure)  # fmt: skip
    for place, one in enumerate(reversed(found.values())):
        axes.plot([one["low"], one["high"]], [place, place], color="C0")
        axes.plot(one["value"], place, "o", color="C0")
    axes.set_yticks(range(len(found)), list(reversed(found)))
    return figure


def rows_told(done):
    about = done["split"].values
    rows = [[name, part["rows"], part["labelled"]] for name, part in about["counts"].items()]
    said = table_of(["part", "rows", "with a label"], rows)
    said += paragraph(f"{about['rows']:,} rows came, {len(about['left_out']):,} were left out: empty, or nearly the same as "
                      "another. So no two parts share a text.")  # fmt: skip
    if about["left_out"]:
        said += f"<details><summary>The first {min(SHOWN, len(about['left_out']))}</summary>"
        said += table_of(["row", "why"], about["left_out"][:SHOWN]) + "</details>"
    if about["conflicts"]:
        pairs = ", ".join(f"{one} and {two}" for one, two in about["conflicts"][:SHOWN])
        count = len(about["conflicts"])
        said += paragraph(f"The same text has two labels in {count} pair{'s' if count > 1 else ''} of rows: {pairs}.")
    return said


def teacher_told(settings, done):
    about, asked = done["teacher"].values, teaching.asked_of(done["split"], done["teacher"])
    money = f"{about['spent']:,.2f} {settings.prices.currency}"
    said = f"The teacher ({about['kind']}) was asked about {about['asked']:,} texts for {money}; {about['unread']:,} answers "
    said += f"named no class. It has answered for {asked['train']:,} training, {asked['validation']:,} validation and "
    said += f"{asked['test']:,} test texts."
    if about["affordable"] is not None:
        said += f" The budget buys {about['affordable']:,}."
    if about["kind"] == "probabilities":
        said += " If it had seen the test texts' labels, its own accuracy here is too high: only you know."
    return paragraph(said)


def filters_told(done):
    steps = [[step["filter"], step["in"], step["dropped"], "; ".join(f"{why} ({n})" for why, n in step["reasons"].items())]
             for step in done["select"].values["steps"]]  # fmt: skip
    return table_of(["filter on training rows", "rows", "dropped", "why"], steps)


def trials_told(done):
    about = done["student"].values
    best = about["trials"]
    figure, axes = axes_of(f"The {about['kind']} at a rate of {about['rate']:.2g} was best", "learning rate",
                           "validation cross-entropy, nats")  # fmt: skip
    for place, name in enumerate(dict.fromkeys((one["kind"], one["steps"]) for one in best)):
        line = sorted(
            (one["rate"], one["nats"])
            for one in best
            if (one["kind"], one["steps"]) == name and math.isfinite(one["nats"])
        )
        axes.plot(*zip(*line) if line else ([], []), "o-", color=f"C{place}", label=f"{name[0]}, {name[1]} steps")
    axes.set_xscale("log", base=2)
    axes.legend(frameon=False)
    told = "; ".join(f"{one['kind']}, rate {one['rate']:.2g}, {one['steps']} steps: {one['nats']:.3f}" for one in best)
    rows = [[one["kind"], f"{one['rate']:.2g}", one["steps"], f"{one['nats']:.4f}", f"{one['right']:.1%}", f"{one['seconds']:.0f}"]
            for one in best]  # fmt: skip
    header = ["kind", "rate", "steps", "nats", "right", "seconds"]
    return picture(figure, f"Validation cross-entropy in nats. {told}") + table_of(header, rows)


def classes_told(done):
    rows = done["evaluation"].values["classes"]
    if not rows:
        return paragraph("Too few test texts have a label.")

    def share(one):
        return "none" if one is None else f"{one['value']:.0%} [{one['low']:.0%}, {one['high']:.0%}]"

    return table_of(
        ["class", "test texts", "found of these (recall)", "right where said (precision)"],
        [[one["class"], one["texts"], share(one["recall"]), share(one["precision"])] for one in rows],
    )


def calibration_told(done):
    about, found = done["calibration"].values, done["evaluation"].values["calibration"]
    on = {"labels": "labels", "teacher": "the teacher's answers, so it is as sure as it agrees with its teacher",
          "nothing": "nothing: no temperature fits"}[about["fitted_on"]]  # fmt: skip
    said = paragraph(
        f"Its logits are divided by {about['temperature']:.3f}, fitted on {about['rows']} validation rows by {on}."
    )
    if not found:
        return said
    figure, axes = axes_of("How often it is right, by how sure it is", "confidence", "accuracy")
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    for name, colour in (("before", "0.6"), ("after", "C0")):
        points = found[name]["points"]
        axes.plot(points["confidence"], points["accuracy"], "o-", color=colour, label=f"{name} the temperature")
    axes.legend(frameon=False)
    gaps = {name: 100 * found[name]["ece"] for name in found}
    told = f"Calibration: mean gap {gaps['before']:.1f} points before the temperature and {gaps['after']:.1f} after"
    said += paragraph(f"{told}; of the latter, {100 * found['after']['ece by chance']:.1f} would come by chance alone.")
    return said + picture(figure, told)


def cost_told(done):
    about, speed = done["cost"].values, done["speed"].values
    times = ", ".join(f"{name} {value:.1f} ms" for name, value in speed["milliseconds"].items())
    money = about["currency"]
    rows = [[f"once, {money}", "", f"{about['upfront']:,.2f}"],
            [f"1,000 texts, {money}", f"{about['per_1000']['teacher']:,.4f}", f"{about['per_1000']['student']:,.6f}"],
            [f"a month, {money}", f"{about['month']['teacher']:,.2f}", f"{about['month']['student']:,.2f}"]]  # fmt: skip
    said = table_of(["", "teacher", "student"], rows)
    said += paragraph(
        f"Here the student reads {speed['texts_per_second']:,.0f} texts a second in batches; one alone takes {times}."
    )
    said += paragraph(sentence(about["words"]))
    if (done["evaluation"].values["against_teacher"] or {}).get("verdict") == "worse":
        said += paragraph(
            "These savings are paid for in answers: the student is worse than its teacher by more than you bear."
        )
    return said


def files_told(done):
    about = done["export"].values
    said = table_of(["file", "MB"], [[name, f"{size:.3f}"] for name, size in about["megabytes"].items()])
    return said + "".join(paragraph(sentence(one)) for one in (done["int8"].values["words"], about["onnx"]))


# --- The card ---------------------------------------------------------------------------------------------------------


def card(settings: Settings, done: dict[str, Result]) -> str:
    """The student's card."""
    about, student = done["split"].values, done["student"].values
    name = settings.folder.resolve().name
    classes = ", ".join(f"`{each}`" for each in about["classes"])
    lines = [
        f"# A student for {name}", "",
        f"Reads a text and gives one of {classes}, with a calibrated probability. A {student['kind']} over words "
        f"(vocabulary of {len(student['vocabulary']):,}, {student['longest']} words of a text are read), distilled from a teacher "
        f"({done['teacher'].values['kind']}).", "",
        "## How good", "", *(f"- {one}" for one in sentences(done)), "",
        "## How to use it", "", "```", command(settings, exporting.FOLDER), "```", "",
        "Weights are safetensors, words and settings JSON: nothing in this folder can run code. "
        f"Divide logits by {done['calibration'].values['temperature']:.4f} before the softmax.", "",
        f"{sentence(done['int8'].values['words'])} {sentence(done['export'].values['onnx'])}", "",
        "## What it learned from", "",
        f"{student['rows']:,} texts, {about['counts']['train']['labelled']:,} of them labelled by people "
        f"(of all training rows). {len(about['left_out']):,} of {about['rows']:,} rows were left out as empty or as duplicates.",
        "", "## Where not to use it", "",
        "On texts of another kind or language than those it was tested on; where one wrong answer does harm and no person looks.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
