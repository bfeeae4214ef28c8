from pathlib import Path

import pytest
from mimic_server.cli.errors import CommandError, Exit
from mimic_server.cli.plan import Drafts, load

PLAN = """
agent: {name: Bot}
channel: {name: rest, settings: {url: "http://127.0.0.1/${WHERE:-chat}", token: "${TOKEN}"}}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "my-plan.yaml"
    path.write_text(text)
    return path


def test_the_least_plan_drafts_personas_and_evaluations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    plan = load(written(tmp_path, PLAN))
    assert plan.name == "my-plan"
    assert isinstance(plan.personas, Drafts)
    assert plan.channel.settings == {"url": "http://127.0.0.1/chat", "token": "s3cret"}
    assert plan.bootstrap is not None
    assert (plan.bootstrap.personas, plan.bootstrap.evaluations) == (3, 5)


def test_the_bundled_plan_is_valid() -> None:
    plan = load(Path(__file__).parents[3] / "examples" / "support_agent" / "plan.yaml")
    assert [p.name for p in plan.personas if not isinstance(p, tuple)] == ["Maya", "Otto"]
    assert plan.bootstrap is None


def test_the_same_plan_has_the_same_key_and_another_has_another(tmp_path: Path) -> None:
    text = "agent: {name: Bot}\nchannel: {name: rest}\n"
    first = load(written(tmp_path, text))
    assert first.key == load(written(tmp_path, text)).key
    assert first.key == load(written(tmp_path, f"{text}repeats: 3\n")).key
    assert first.key != load(written(tmp_path, f"{text}seed: 3\n")).key


@pytest.mark.parametrize(
    "text,words",
    [
        ("agent: [", "my-plan.yaml:1:9"),
        ("- a\n- b\n", "a plan is a mapping"),
        ("channel: {name: rest}\n", "agent: field required"),
        ("agent: {name: Bot}\nchannel: {name: rest}\nmax_turns: 0\n", "max_turns: "),
        ("agent: {name: Bot}\nchannel: {name: rest}\nrepats: 2\n", "repats: "),
        ("agent: {name: Bot}\nchannel: {name: Rest!}\n", "channel.name: "),
        (
            "agent: {name: Bot}\nchannel: {name: rest, settings: {a: {b: '${NOPE}'}}}\n",
            "channel.settings.a.b: ",
        ),
        ("agent: {name: Bot}\nchannel: {name: rest}\nsession: {paec: 1}\n", "session.paec: "),
        ("agent: {name: Bot}\nchannel: {name: rest}\npersonas:\n- {name: M, goals: []}\n", "goals: "),
    ],
)
def test_what_is_wrong_is_told_with_its_place_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(CommandError) as caught:
        load(written(tmp_path, text))
    assert words in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == Exit.USAGE


GOOD = "agent: {name: Bot}\nchannel: {name: rest}\n"


@pytest.mark.parametrize(
    "text,words",
    [
        ("evaluations: {generate: 0}", "evaluations.generate: "),
        ("evaluations: {generat: 3}", "evaluations.generate: field required"),
        ("evaluations: 3", "evaluations: "),
        ("personas: []", "personas: "),
        ("personas: [{name: M, goals: []}]", "personas[0].goals: "),
        ("evaluations: [{name: A, metric: nonsense, method: regex_match}]", "evaluations[0].metric: "),
    ],
)
def test_paths_are_the_plans_own(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, f"{GOOD}{text}\n")
    with pytest.raises(CommandError) as caught:
        load(path)
    assert words in caught.value.message.removeprefix(f"{path}: ")
    for leak in ("tuple", "Drafts", "<", "Spec"):
        assert leak not in caught.value.message


def test_all_faulty_evaluations_are_told_at_once(tmp_path: Path) -> None:
    one = "{name: A, metric: boolean, method: regex_match, pass_criteria: {pass: 'true'}, regex: %s}"
    checks = ", ".join(one % regex for regex in ("'('", "fine", "'[a'"))
    with pytest.raises(CommandError) as caught:
        load(written(tmp_path, f"{GOOD}evaluations: [{checks}]\n"))
    assert "evaluations[0].regex: " in caught.value.message
    assert "evaluations[2].regex: " in caught.value.message
    assert "evaluations[1]" not in caught.value.message
    assert caught.value.exit_code == Exit.USAGE


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        load(tmp_path / "nothing.yaml")
