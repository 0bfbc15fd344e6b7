"""Cells of autoencoders and language models, and the words that the latter read."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from sgdsim.nets import autoencoder_cells, language_model_cells  # noqa: E402
from sgdsim.nets.stack_cells import population_mean  # noqa: E402
from sgdsim.nets.texts import load_text  # noqa: E402
from sgdsim.nets.word_texts import UNKNOWN, load_words  # noqa: E402

COMMON = {"learning_rate": 0.5, "momentum": 0.0, "weight_decay": 0.0, "schedule": "half-then-halve", "seed": 0}
PICTURES = {"data": "digits", "images": 96, "test_images": 40, "pool": 1, "hidden": [12, 4], "activation": "relu",
            "batch_size": 16, "order": "reshuffle", "epochs": 3, **COMMON}
LETTERS = {"data": "tiny-shakespeare", "examples": 32, "test_examples": 8, "length": 6, "width": 5, "layers": 1,
           "embedding": None, "batch_size": 8, "epochs": 3, **COMMON}
WORDS = {**LETTERS, "data": "state-of-the-union", "vocabulary": 6, "embedding": 3}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("SGDSIM_DATA", str(tmp_path))
    (tmp_path / "tiny-shakespeare").mkdir()
    (tmp_path / "tiny-shakespeare" / "input.txt").write_text("to be or not to be, that is the question\n" * 20)
    (tmp_path / "state-of-the-union").mkdir()
    for cached in (load_text, load_words):
        cached.cache_clear()
    yield tmp_path
    for cached in (load_text, load_words):
        cached.cache_clear()


def write(folder: Path, documents: dict[str, str]) -> Path:
    path = folder / "state-of-the-union" / "state_union.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {"state_union/README": "not a speech", **documents}.items():
            archive.writestr(name, text)
    load_words.cache_clear()
    return path


def speeches(count: int = 20) -> dict[str, str]:
    return {f"state_union/{1945 + k}-Name.txt": ("The state of the Union isn't bad; 1,500 men agree. " * 8
                                                 if (k + 1) % 10 else "Quite other words, held out, of the year. " * 20)
            for k in reversed(range(count))}


def test_words_are_what_the_rule_says(folder: Path) -> None:
    path = write(folder, speeches())
    text = load_words(vocabulary=100)
    assert text.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() and text.vocabulary[0] == UNKNOWN
    assert [text.vocabulary[k] for k in text.codes[:12]] == [
        "the", "state", "of", "the", "union", "isn't", "bad", ";", "<number>", "men", "agree", "."]
    assert text.vocabulary[1] == "the" and list(text.vocabulary[2:]) == sorted(text.vocabulary[2:]), "ties by alphabet"
    known = [text.vocabulary[k] for k in text.held_out[:9]]
    assert known == [UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, "of", "the"]
    assert len(text.codes) == 18 * 8 * 12 and "1728 + 440 words" in repr(text)


def test_a_small_vocabulary_keeps_the_frequent_words(folder: Path) -> None:
    write(folder, speeches())
    assert load_words(vocabulary=2).vocabulary == (UNKNOWN, "the")
    assert (load_words(vocabulary=2).codes == 1).mean() == pytest.approx(2 / 12)


def test_words_that_cannot_be_had(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="state_union.zip belongs in state-of-the-union"):
        load_words()
    with pytest.raises(ValueError, match="name is 'hansard'; allowed: state-of-the-union"):
        load_words("hansard")
    with pytest.raises(ValueError, match="vocabulary is 1; allowed: at least 2"):
        load_words(vocabulary=1)
    write(folder, speeches(9))
    with pytest.raises(ValueError, match="has 9 documents; allowed: at least 10"):
        load_words()


def test_windows_keep_training_and_test_apart(folder: Path) -> None:
    write(folder, speeches())
    (x, y, test_x, test_y), symbols, facts = language_model_cells.windows(WORDS)
    assert x.shape == y.shape == (32, 6) and test_x.shape == test_y.shape == (8, 6) and symbols == 6
    assert torch.equal(x[:, 1:], y[:, :-1]) and facts["data"] == "state-of-the-union"
    text = load_words(vocabulary=6)
    np.testing.assert_array_equal(test_x[0], text.held_out[:6])
    (x, _, test_x, _), symbols, _ = language_model_cells.windows(LETTERS)
    letters = load_text()
    assert symbols == len(letters.alphabet)
    np.testing.assert_array_equal(x[0], letters.codes[:6])
    assert np.array_equal(test_x[0], letters.codes[32 * (819 // 40) :][:6]), "the held-out windows are the last ones"


@pytest.mark.parametrize("config", [PICTURES, LETTERS, WORDS], ids=["pictures", "letters", "words"])
def test_a_cell_does_not_depend_on_its_company(folder: Path, config: dict) -> None:
    write(folder, speeches())
    module = autoencoder_cells if config is PICTURES else language_model_cells
    cells = [{**config, "seed": seed, "momentum": momentum, "learning_rate": 0.5 * (1 - momentum)}
             for seed in (0, 1) for momentum in (0.0, 0.9)]
    together, alone = module.measure_cells(cells), [module.measure_cells([cell])[0] for cell in cells]
    for one, other in zip(together, alone, strict=True):
        assert one.status == other.status == "ok" and one.facts == other.facts
        for name in ("train_loss", "test_loss"):
            assert one.metrics[name] == pytest.approx(other.metrics[name], rel=2e-4)
    losses = [one.metrics["train_loss"] for one in together]
    assert len(set(losses)) == 4 and max(losses) < together[0].metrics["curve_loss"][0]


def test_divergence_is_a_status_and_learning_learns(folder: Path) -> None:
    wild, still, trained = autoencoder_cells.measure_cells(
        [{**PICTURES, "learning_rate": rate, "epochs": 12} for rate in (1e4, 0.0, 1.0)])
    assert (wild.status, wild.metrics) == ("diverged", {})
    assert trained.metrics["train_loss"] < 0.8 * still.metrics["train_loss"]
    assert trained.metrics["train_error"] < still.metrics["train_error"]
    assert trained.facts["steps"] == 12 * 6 and trained.facts["parameters"] == 64 * 12 + 12 * 4 + 4 * 12 + 12 * 64 + 92


@given(st.integers(0, 2**31))
def test_pixels_are_put_back(seed: int) -> None:
    raw = np.random.default_rng(seed).integers(0, 256, size=(20, 1, 3, 3)).astype(float)
    raw[0, 0, 0, :2] = 0, 255
    normalised = (raw - raw.mean()) / raw.std()
    train, test = autoencoder_cells.pixels(normalised[:10], normalised[10:])
    np.testing.assert_allclose(np.concatenate([train, test]), raw / 255, atol=1e-12)


@given(st.integers(1, 30), st.integers(1, 9), st.integers(1, 3))
def test_chunks_do_not_change_a_mean(n: int, chunk: int, models: int) -> None:
    x = torch.arange(2.0 * n, dtype=torch.float64).view(n, 2)
    found = population_mean(lambda x: x.mean(dim=(1, 2)), (x,), models, chunk)
    np.testing.assert_allclose(found, np.full(models, n - 0.5))


def test_times_are_predicted_once_a_shape(folder: Path) -> None:
    autoencoder_cells._predicted.cache_clear()
    first = autoencoder_cells.predict_seconds([PICTURES] * 2)
    other = autoencoder_cells.predict_seconds([{**PICTURES, "learning_rate": 2.0, "seed": 5}] * 2)
    assert first == other > 0 and autoencoder_cells._predicted.cache_info().misses == 1
    assert language_model_cells.predict_seconds([LETTERS]) > 0
