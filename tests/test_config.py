"""Presets, configuration files, and a sentence for each thing that can be wrong."""

import itertools

import msgspec
import pytest

from sat_hdl.config import PRESETS, Config, ConfigError, load, parse_sparsity, preset
from sat_hdl.formats import BFLOAT16, BINARY16

LEGAL = {
    "rows": [1, 2, 31, 32],
    "cols": [1, 3, 32],
    "max_m": [2, 4, 8, 16],
    "interleave": list(range(8, 17)),
    "operand_format": ["fp16", "bf16"],
    "sore_lanes": [1, 7, 64],
    "target": ["portable", "ecp5"],
    "memory_bits": [32, 64, 128, 256, 512],
    "west_depth": [64, 65536],
    "north_depth": [64, 65536],
    "result_depth": [64, 65536],
    "vector_lanes": [1, 2, 4, 8, 16],
    "weight_stationary": [False, True],
    "fold": [1, 2, 4, 8],
    "west_lanes": [1, 2],
    "initial_ram": ["block", "lut"],
    "group_ram": ["lut"],
    "ring": [False],
}
ILLEGAL = {
    "rows": [0, -1, 33, 2.0, "8", True, None],
    "cols": [0, 33, 1.5],
    "max_m": [0, 1, 3, 6, 12, 32, "8"],
    "interleave": [0, 7, 17, 8.0],
    "operand_format": ["fp32", "FP16", 16, None, ["fp16"]],
    "sore_lanes": [0, 65],
    "target": ["ice40", "", None],
    "memory_bits": [0, 16, 48, 1024, "64"],
    "west_depth": [0, 32, 100, 1 << 17],
    "north_depth": [0, 32, 4095],
    "result_depth": [0, 32, 1.5],
    "vector_lanes": [0, 3, 32],
    "weight_stationary": [0, 1, "true", None],
    "fold": [0, 3, 16, 2.0, None],
    "west_lanes": [0, 3, 4, "1"],
    "initial_ram": ["", "LUT", True, ["lut"]],
    "group_ram": ["", "BLOCK", None, ["lut"]],
    "ring": [0, 1, "true", None],
}


def toml(field, value) -> str:
    return f"{field} = {str(value).lower() if isinstance(value, bool) else repr(value)}\n"


def test_every_field_is_tried():
    assert set(LEGAL) == set(ILLEGAL) == set(Config.__struct_fields__)


@pytest.mark.parametrize("name", PRESETS)
def test_presets(name):
    assert preset(name) is PRESETS[name]
    # Constructed anew, so that every check runs on it.
    assert Config(**msgspec.structs.asdict(PRESETS[name])) == PRESETS[name]


def test_the_default_preset_is_the_default_configuration():
    assert preset("default") == preset("8x8") == Config()


def test_an_unknown_preset_is_refused():
    with pytest.raises(
        ConfigError, match=r"^There is no preset '16x61'; choose one of default, .*\. Did you mean '16x16'\?$"
    ):
        preset("16x61")


@pytest.mark.parametrize("field, value", [(field, value) for field in LEGAL for value in LEGAL[field]])
def test_legal_values(field, value, tmp_path):
    config = Config(**{field: value})
    assert getattr(config, field) == value
    path = tmp_path / "c.toml"
    path.write_text(toml(field, value))
    assert load(path) == config


@pytest.mark.parametrize("field, value", [(field, value) for field in ILLEGAL for value in ILLEGAL[field]])
def test_illegal_values(field, value):
    with pytest.raises(ConfigError) as raised:
        Config(**{field: value})
    text = str(raised.value)
    assert text.startswith(f"`{field}` must be ") and text.endswith(f", not {value!r}.")


@pytest.mark.parametrize("other", [{"weight_stationary": True}, {"interleave": 9}, {"fold": 2}])
def test_a_ring_has_eight_places_and_one_dataflow(other):
    fits = {"ring": True, "weight_stationary": False}
    assert Config(**fits).ring
    with pytest.raises(
        ConfigError, match=r"^With `ring` the interleave must be 8, weight_stationary false and fold 1"
    ):
        Config(**(fits | other))


@pytest.mark.parametrize("max_m, interleave", list(itertools.product(LEGAL["max_m"], LEGAL["interleave"])))
def test_derived_widths(max_m, interleave):
    config = Config(max_m=max_m, interleave=interleave)
    assert config.group_lengths() == [m for m in (2, 4, 8, 16) if m <= max_m]
    assert 1 << config.index_bits == max_m
    assert max_m < 1 << config.count_bits
    assert 1 << config.entry_bits >= 2 * interleave
    # 1:M at full rate: a group's beats come within one turn over the sums.
    assert max_m / config.west_elements <= interleave
    assert max_m % config.west_elements == 0


@pytest.mark.parametrize("max_m, fold", list(itertools.product(LEGAL["max_m"], LEGAL["fold"])))
def test_what_fits_the_group_memory(max_m, fold):
    config = Config(max_m=max_m, fold=fold)
    assert 1 << config.element_bits == config.group_depth
    for group in config.group_lengths():
        most = config.most_fold(group)
        assert most in (1, 2, 4, 8)
        assert most * group <= config.group_depth
        assert fold == 1 or most == 8 or 2 * most * group > config.group_depth


def test_formats():
    assert Config(operand_format="fp16").format == BINARY16
    assert Config(operand_format="bf16").format == BFLOAT16


def test_which_sparsities_run():
    for config in (Config(max_m=m) for m in LEGAL["max_m"]):
        for keep, group in itertools.product(range(-1, 18), range(-1, 34)):
            if group in config.group_lengths() and 1 <= keep <= group:
                config.check_sparsity(keep, group)
                continue
            with pytest.raises(ConfigError, match=rf"^{keep}:{group} sparsity can't run.*\.$"):
                config.check_sparsity(keep, group)


# --- files --------------------------------------------------------------------------------------------


def test_a_file_of_every_key(tmp_path):
    path = tmp_path / "c.toml"
    config = Config(rows=3, cols=5, max_m=4, interleave=9, operand_format="bf16", sore_lanes=2, target="ecp5")
    path.write_text("".join(toml(key, value) for key, value in msgspec.structs.asdict(config).items()))
    assert load(path) == load(str(path)) == config


def test_an_empty_file_is_the_default(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("")
    assert load(path) == Config()


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("row = 8\n", r"unknown field `row`; the keys are rows, cols, .*\.$"),
        ("rows = 8\n[array]\ncols = 8\n", r"unknown field `array`; the keys are rows, cols, .*\.$"),
        ("rows = 0\n", r"`rows` must be an integer from 1 to 32, not 0\.$"),
        ("rows = '8'\n", r"Expected `int`, got `str` - at `\$.rows`\.$"),
        ("rows = 8.5\n", r"Expected `int`, got `float` - at `\$.rows`\.$"),
        ("operand_format = 'fp8'\n", r"`operand_format` must be one of fp16, bf16, not 'fp8'\.$"),
        ("rows 8\n", r".*line 1.*\.$"),
        ("rows = 8\nrows = 9\n", r".*line 2.*\.$"),
        (b"\xff\xfe", r".*\.$"),
    ],
)
def test_bad_files(tmp_path, text, sentence):
    path = tmp_path / "c.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match="^" + str(path) + ": .*" + sentence) as raised:
        load(path)
    assert ".." not in str(raised.value).replace(str(path), "")
    assert "\n" not in str(raised.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match=r"^There is no configuration file '.*nowhere.toml'\.$"):
        load(tmp_path / "nowhere.toml")
    with pytest.raises(ConfigError, match=r"can't be read: Is a directory\.$"):
        load(tmp_path)


# --- sparsity -----------------------------------------------------------------------------------------


def test_sparsities():
    assert parse_sparsity("dense") is None
    for group in (2, 4, 8, 16):
        for keep in range(1, group):
            assert parse_sparsity(f"{keep}:{group}") == (keep, group)


@pytest.mark.parametrize(
    "text",
    ["", "2", ":", "2:", ":8", "2:8:1", "2/8", "a:b", "-1:8", " 2:8", "2:8 ", "+2:8", "２:８", "Dense", "1_0:16",
     "0:8", "8:8", "9:8", "2:3", "1:1", "1:32", "2:0", "1:9999999999"],
)  # fmt: skip
def test_sparsities_that_are_none(text):
    with pytest.raises(ConfigError) as raised:
        parse_sparsity(text)
    assert text in str(raised.value) and str(raised.value).endswith(".")
