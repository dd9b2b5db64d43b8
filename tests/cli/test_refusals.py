"""Bad input on the command line: exit code 2, one sentence, nothing half-written."""

from pathlib import Path

import pytest
from PIL import Image

from program import TINY, Program, replaced
from steadygrad.covariance import IdentityCovariance, save_covariance

TRAIN = ("train", *TINY, "--model", "digits-real")


def refused(program: Program, *arguments: object) -> str:
    outcome = program(*arguments)
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1, outcome.err
    return outcome.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "lenet"), "unknown model 'lenet'; choose one of"),
        (("--dataset", "imagenet"), "unknown data set 'imagenet'"),
        (("--penalty", "l7:strength=1"), "unknown penalty 'l7'; choose one of squared-norm, gn"),
        (("--penalty", "squared-norm:strength=-0.5"), "strength >= 0, got -0.5"),
        (("--penalty", "squared-norm"), "penalty squared-norm needs a value for strength, as in"),
        (("--penalty", "sgr"), "penalty sgr needs a value for strength"),
        (("--penalty", "squared-norm:1"), "expected key=value with a key among strength, norm"),
        (("--penalty", "squared-norm:strength=1,backend=exact"), "unknown backend 'exact'"),
        (("--penalty", "sgr:strength=1,covariance=fisher"), "unknown covariance 'fisher'"),
        (
            ("--penalty", "sgr:strength=1,covariance=no/such.safetensors"),
            "no/such.safetensors",
        ),
        (
            ("--penalty", "sgr:strength=1,covariance=dense,covariance.source=cw"),
            "unknown source 'cw'",
        ),
        (
            ("--penalty", "sgr:strength=1,covariance=dense,covariance.decay=0"),
            "decay in (0, 1], got 0",
        ),
        (("--penalty", "sgr:strength=1,covariance=exponential:-1"), "decay_length > 0"),
        (("--penalty", "gn:strength=1,covariance=dense"), "penalty gn has no setting 'covariance'"),
        (
            ("--penalty", "gn:strength=1", "--paper-lambda", 4),
            "expected a strength or --paper-lambda, not both, got 1 and 4",
        ),
        (
            ("--penalty", "squared-norm:norm=l1", "--paper-lambda", 2),
            "expected penalty gn or sgr along with --paper-lambda, got squared-norm:norm=l1",
        ),
        (("--paper-lambda", 2), "penalty gn or sgr along with --paper-lambda, got none"),
        (("--penalty", "gn", "--paper-lambda", -2), "strength >= 0, got -1"),
        (("--ramp", "ramp:2"), "expected a penalty along with the ramp ramp:2, got none"),
        (("--model", "digits-complex:second_order=partial"), "'partial'"),
        (("--augment", "salt:0.1"), "'salt'"),
        (("--augment", "gaussian:much"), "std: expected a number, got 'much'"),
        (("--attack", "pgd"), "attack pgd needs a value for eps"),
        (("--attack", "pgd:eps=8"), "did you mean 8/255?"),
        (("--optimizer", "lion"), "unknown optimizer 'lion'; choose one of sgd, adam, adamw"),
        (("--schedule", "cosin"), "unknown schedule 'cosin' (did you mean 'cosine'?)"),
        (("--loss", "hinge"), "unknown loss 'hinge'"),
        (("--averaging", "ema:2"), "rate in [0, 1), got 2"),
        (("--clipping", "norm:0"), "length > 0, got 0"),
        (("--epochs", 0), "epochs >= 1, got 0"),
        (("--batch-size", 0), "batch_size >= 1, got 0"),
        (("--limit-train", 0), "limit_train >= 1, got 0"),
        (("--validation-size", 5000), "5000"),
        (("--device", "tpu9"), "tpu9"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_training_settings(
    program: Program, tmp_path: Path, options: tuple[object, ...], message: str
) -> None:
    out = tmp_path / "run"
    assert message in refused(program, *replaced(TRAIN, options), "--out", out)
    assert not out.exists()


def test_missing_and_corrupt_data(program: Program, tmp_path: Path) -> None:
    out = tmp_path / "run"
    mnist = ("train", "--dataset", "mnist", "--model", "yeats2021-mnist-real", "--out", out)
    missing = tmp_path / "nowhere"
    assert "nowhere" in refused(program, *mnist, "--data-dir", missing)
    folder = tmp_path / "data/mnist"
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        (folder / f"{split}-00000-of-00001.parquet").write_bytes(b"no parquet")
    assert "train-00000-of-00001.parquet" in refused(
        program, *mnist, "--data-dir", tmp_path / "data"
    )
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read"),
        ("epochs = [", "not valid TOML"),
        ("epoch = 3", "training has no setting 'epoch' (did you mean 'epochs'?); choose from"),
        ("seed = 'three'", "training: seed: expected a whole number, got 'three'"),
    ],
)
def test_configuration_files(
    program: Program, tmp_path: Path, text: str | None, message: str
) -> None:
    file = tmp_path / "settings.toml"
    if text is not None:
        file.write_text(text)
    assert message in refused(program, *TRAIN, "--config", file, "--out", tmp_path / "run")


def test_a_configuration_that_names_the_data_otherwise_is_told_the_name(
    program: Program, tmp_path: Path
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('dataset = "digits"\nmodel = "digits-real"')
    told = refused(program, "train", "--config", file, "--out", tmp_path / "run")
    assert "training has no setting 'dataset' (did you mean 'data'?)" in told


def test_output_that_cannot_be_written(program: Program, trained_run: Path, tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("in the way")
    assert "file" in refused(program, *TRAIN, "--out", blocker / "run")
    assert "file" in refused(program, *TRAIN, "--out", blocker)
    assert "file" in refused(program, "compare", trained_run, "--out", blocker / "report.html")
    assert blocker.read_text() == "in the way"


def test_resuming_what_is_not_there_or_another_run(
    program: Program, trained_run: Path, tmp_path: Path
) -> None:
    assert "no run in" in refused(program, *TRAIN, "--out", tmp_path / "run", "--resume")
    assert "no run in" in refused(program, "train", "--out", tmp_path / "run", "--resume")
    message = refused(program, *TRAIN, "--seed", 3, "--out", trained_run, "--resume")
    assert "model (was 'digits-complex', now 'digits-real')" in message
    assert "seed (was 0, now 3)" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--attack", "lbfgs"), "'lbfgs'"),
        (("--eps", "0:8:1"), "eps in [0, 1], got 2.0; did you mean 2/255?"),
        (("--eps", "strong"), "strong"),
        (
            ("--attack", "fgsm", "--search", "continued"),
            "no target for the search 'continued', got fgsm\n",
        ),
        (
            ("--attack", "pgd:restarts=2", "--search", "continued"),
            "'continued', got pgd with restarts=2 and target=None",
        ),
        (("--attack", "pgd:steps=0"), "steps >= 1, got 0"),
        (("--attack", "fgsm:steps=3"), "attack fgsm has no setting 'steps'"),
        (("--attack", "pgd:norm=l2", "--eps", "-1"), "eps >= 0 and finite in L2, got -1.0"),
        (("--attack", "i-fgsm:norm=l2"), "no setting 'norm'; choose from eps, steps, step_size"),
        (("--attack", "pgd:loss=hinge"), "one of cross-entropy, margin, dlr, got 'hinge'"),
        (("--attack", "pgd:reach=0"), "reach > 0 and finite, got 0"),
        (("--attack", "pgd:eps=0.1", "--eps", "0.2"), "has no effect beside the radii given"),
        (("--attack", "deepfool"), "an attack with an eps, got 'deepfool', which has none"),
        (("--attack", "mixture"), "an attack with an eps, got 'mixture', which has none"),
        (("--attack", "pgd:stps=3"), "no setting 'stps' (did you mean 'steps'?)"),
        (("--attack", "mim:decay=-1"), "decay >= 0 and finite, got -1"),
        (("--attack", "lrc:covariance=exponential:0"), "decay_length > 0 pixels, got 0"),
        (("--attack", "lrc:covariance.inter_channel=2"), "inter_channel in"),
        (("--attack", "lrc:samples=0"), "samples >= 1, got 0"),
        (("--attack", "lrc", "--covariance", "fisher"), "'dataset' or the path of a covariance"),
        (("--attack", "lrc", "--covariance", "no/such.safetensors"), "no covariance file at no/s"),
        (
            ("--attack", "lrc:covariance=exponential:3", "--covariance", "dataset"),
            "covariance exponential:3 of the attack has no effect along with another one",
        ),
        (("--attack", "pgd", "--covariance", "dataset"), "covariance has no effect with 'pgd'"),
        (("--attack", "white-noise:decay_length=3"), "'decay_length'"),
        (("--limit", 0), "got 0"),
        (("--batch-size", 0), "batch_size >= 1, got 0"),
        (("--split", "validation"), "trained without a validation split"),
    ],
)
def test_evaluation_settings(
    program: Program, trained_run: Path, options: tuple[object, ...], message: str
) -> None:
    before = sorted((trained_run / "evaluations").iterdir())
    assert message in refused(program, "evaluate", trained_run, *options)
    assert sorted((trained_run / "evaluations").iterdir()) == before


def test_a_covariance_of_another_image_size_or_of_none(
    program: Program, trained_run: Path, tmp_path: Path
) -> None:
    file = tmp_path / "colour.safetensors"
    save_covariance(file, IdentityCovariance((3, 8, 8)))
    lrc = ("evaluate", trained_run, "--attack", "lrc", "--covariance", file, "--limit", 5)
    sgr = (*TRAIN, "--penalty", f"sgr:strength=1,covariance={file}")
    before = sorted((trained_run / "evaluations").iterdir())
    for command in (lrc, (*sgr, "--out", tmp_path / "run")):
        assert "of images (1, 8, 8), got (3, 8, 8)" in refused(program, *command)
    file.write_bytes(b"no covariance")
    for command in (lrc, (*sgr, "--out", tmp_path / "run")):
        assert "is damaged or not a safetensors file" in refused(program, *command)
    assert not (tmp_path / "run").exists()
    assert sorted((trained_run / "evaluations").iterdir()) == before


@pytest.fixture
def larger_images(tmp_path: Path) -> Path:
    """An image folder of 10x10 pictures in two classes."""
    for split in ("train", "test"):
        for index, name in enumerate(("dark", "light")):
            folder = tmp_path / "pictures" / split / name
            folder.mkdir(parents=True)
            Image.new("L", (10, 10), 200 * index).save(folder / "one.png")
    return tmp_path / "pictures"


def test_data_that_the_network_does_not_read(
    program: Program, trained_run: Path, larger_images: Path
) -> None:
    message = refused(program, "evaluate", trained_run, "--dataset", larger_images)
    assert "the network takes images of 1x8x8" in message
    assert "1x10x10" in message


def test_runs_that_are_missing_or_damaged(
    program: Program, trained_run: Path, tmp_path: Path
) -> None:
    missing = tmp_path / "missing"
    assert "missing" in refused(program, "evaluate", missing)
    assert "missing" in refused(program, "compare", missing, "--out", tmp_path / "report.html")
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "config.json").write_bytes((trained_run / "config.json").read_bytes())
    (damaged / "model.safetensors").write_bytes(
        (trained_run / "model.safetensors").read_bytes()[:1000]
    )
    assert "model.safetensors" in refused(program, "evaluate", damaged)
    assert not (damaged / "evaluations").exists()


def test_a_mistyped_option_is_refused_without_a_traceback(program: Program) -> None:
    outcome = program("train", "--epoch", 3)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "run"),
        ("transfer", "run", "--eps", 0.1),
        ("audit", "run"),
        ("covariance", "run"),
    ],
)
def test_a_seed_below_0_is_refused_everywhere(
    program: Program, command: tuple[object, ...]
) -> None:
    outcome = program(*command, "--seed", -1)
    assert outcome.code == 2 and "Invalid value for '--seed'" in outcome.err
