"""The settings of each flow: one type for Python, command line, viewer and recipes.

This module alone knows the options and their defaults. It loads neither torch nor a
viewer, so that help and validation are quick.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from napari_sr.image.intensity import NoiseLevel
from napari_sr.instrument.ranges import Instrument, check_blur

if TYPE_CHECKING:
    from collections.abc import Mapping

SHARE_OF_MEMORY = 0.25
"""Share of the free memory that a tile may take, since its need is only estimated."""

Content = Literal["domain", "vgg19", "gradient", "spectrum", "ms-ssim"]
Schedule = Literal["cosine", "steps"]
Betas = tuple[
    Annotated[float, Field(ge=0, lt=1)],
    Annotated[float, Field(ge=0, lt=1)],
]
"""Decay of Adam's running means of the gradient and of its square."""
MOST_ALONG_Z = 64
"""Planes for each recorded one, at most: more would be nothing but interpolated."""
PixelType = Literal["same", "uint8", "uint16", "int16", "float32"]


def explain(error: Exception, flag: str = "") -> str:
    """Say in one sentence what is wrong; of a settings type, with which setting.

    Parameters
    ----------
    error
        Of a settings type, or any other.
    flag
        What stands before a name where it was typed, such as `--`.
    """
    if not isinstance(error, ValidationError):
        return str(error)
    # Of the alternatives of a setting the last is the one with an explanation.
    wrong = error.errors()[-1]
    what = wrong["msg"].removeprefix("Value error, ")
    if not wrong["loc"]:  # of several settings together
        return what if flag else f"settings: {what}"
    name = str(wrong["loc"][0])
    if name == "z" and wrong["type"] == "float_parsing":
        what = f"expected isotropic or a number above 1, got {wrong['input']!r}"
    if what.startswith("Input should be "):
        what = f"expected {what.removeprefix('Input should be ')}, got {wrong['input']}"
    return f"{flag}{name.replace('_', '-') if flag else name}: {what}"


class UpscaleSettings(BaseModel):
    """How to super-resolve; the same for every way in."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        use_attribute_docstrings=True,
    )

    device: str = "auto"
    """Where to compute: auto, cpu, cuda, cuda:1, mps."""
    tile: int | Literal["auto"] = "auto"
    """Side of a tile in recorded pixels, halo included. A given number is never
    changed."""
    share_of_memory: float = Field(default=SHARE_OF_MEMORY, gt=0, le=1)
    """Share of the free memory that a tile may take if `tile` is `auto`."""
    precision: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Number format of the network; `auto` is float32."""
    intensity_range: tuple[float, float] | None = None
    """Counts mapped to 0 and 1; measured once per stack when not given."""
    noise: Literal["auto"] | NoiseLevel = "auto"
    """Noise to remove: `auto` estimates its level, 0 keeps the noise of the
    recording."""
    dtype: PixelType = Field(default="same", title="Pixel type")
    """Pixel type of the result; `same` as the recording."""
    dial: float | None = Field(default=None, ge=0, le=1, title="Faithful … textured")
    """From 0 (faithful) to 1 (textured); as the model's card recommends when not
    given."""

    consistency: Literal["auto", "off", "exact"] = "auto"
    """Data consistency: `auto` corrects differences from the recording that noise does
    not explain, and only the mean if the model is not noise-conditioned; `exact`
    corrects all, noise included; or `off`."""
    z: Literal["isotropic"] | float | None = Field(default=None, title="Finer along z")
    """Planes of the result for each recorded plane, by the same model: a number such as
    2 or 3.5, or `isotropic` for steps as small as the pixels; as recorded if not
    given."""
    factor: Literal[1] | None = Field(default=None, title="Plane")
    """1 keeps the pixel size in the plane, if only z is to be finer."""

    @classmethod
    def of(cls, options: Mapping[str, object]) -> Self:
        """Read options as they are given in Python; an error is one sentence.

        Raises
        ------
        ValueError
            Which says what is wrong with which option.
        """
        try:
            return cls.model_validate(options)
        except ValidationError as error:
            raise ValueError(explain(error)) from None

    @field_validator("factor", mode="before")
    @classmethod
    def _factor_is_of_the_model(cls, value: object) -> object:
        if value in (None, 1):
            return value
        raise ValueError(
            f"1 keeps the pixel size in the plane, with z; for {value!r} choose the "
            f"model: load_model('bicubic', factor={value!r})."
        )

    @field_validator("z")
    @classmethod
    def _z_is_finer(cls, value: float | str | None) -> float | str | None:
        if isinstance(value, float) and not 1 <= value <= MOST_ALONG_Z:
            raise ValueError(
                f"z is 'isotropic' or a number from 1 to {MOST_ALONG_Z}, got {value:g}."
            )
        return value

    @model_validator(mode="after")
    def _something_becomes_finer(self) -> Self:
        if self.factor == 1 and self.z in (None, 1):
            raise ValueError(
                "factor=1 keeps the pixel size in the plane, so it needs z: a number, "
                "or 'isotropic'."
            )
        return self

    @field_validator("noise", mode="before")
    @classmethod
    def _noise_from_plain_values(cls, value: object) -> object:
        """Accept 0 for no noise, and a level as text or a mapping, as files have it."""
        if isinstance(value, str) and value != "auto":
            value = _noise_of_text(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            if value != 0:
                raise ValueError(
                    f"noise is 'auto', 0 or a NoiseLevel, got {value:g}. For a "
                    f"standard deviation of {value:g} counts use read={value:g}, in "
                    f"Python NoiseLevel(read={value:g})."
                )
            return NoiseLevel()
        return _level_of(value) if isinstance(value, dict) else value

    @field_serializer("noise", when_used="json")
    def _white_noise_as_ever(self, noise: str | NoiseLevel) -> object:
        """Leave out a correlation of 0: results are known again by what is written."""
        if isinstance(noise, str):
            return noise
        parts = asdict(noise)
        if not noise.correlation:
            del parts["correlation"]
        return parts

    @field_validator("tile", mode="before")
    @classmethod
    def _tile_is_positive(cls, value: object) -> object:
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        if value == "auto" or (type(value) is int and value > 0):
            return value
        raise ValueError(
            f"tile is 'auto' or a positive number of pixels, got {value!r}."
        )


_NOISE = tuple(field.name for field in fields(NoiseLevel))


def _noise_of_text(text: str) -> object:
    """Read `0` or `gain=2,read=5,offset=100`."""
    parts = [part.partition("=") for part in text.split(",")]
    try:
        if "=" not in text:
            return float(text)
        level = {name.strip(): float(value) for name, _, value in parts}
    except ValueError:
        level = {}
    if len(level) < len(parts) or not level.keys() <= set(_NOISE):
        names = ",".join(f"{name}=…" for name in _NOISE)
        raise ValueError(f"noise is auto, 0 or {names} (some of them), got {text!r}.")
    return level


def _level_of(parts: dict[str, float]) -> NoiseLevel:
    try:
        return NoiseLevel(**parts)
    except TypeError as error:
        names = ", ".join(_NOISE)
        raise ValueError(
            f"A noise level has the numbers {names}, got {parts}."
        ) from error


class AdversarialSettings(BaseModel):
    """How to train a textured end of the dial, starting from the faithful one.

    The loss of the generator is pixel_weight × L1 + content_weight × content +
    weight × (−log D), as in Ledig et al. (CVPR 2017), + lattice_weight × lattice. That
    of the discriminator is −log D(y) − log(1 − D(G(x))), with two regularisers: a
    penalty on its gradient at real images, and label smoothing of real images.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True
    )

    iterations: int = Field(default=600, ge=1)
    """Steps of this stage, including those of the head start."""
    weight: float = Field(default=0.001, ge=0)
    """Weight of −log D(G(x)). 0 trains on pixels and content alone, without a
    discriminator."""
    discriminator: Literal["unet", "srgan", "srgan-detail"] = "unet"
    """`unet` judges every pixel of patches of any size; `srgan` is the paper's;
    `srgan-detail` the same, with the fine detail and the noise level as further
    inputs."""
    discriminator_learns: Literal["all", "end"] = "all"
    """`end`: only its decoder, if it comes with the base (FreezeD, Mo et al., 2020); on
    few images this gives as much texture for half the loss of PSNR."""
    head_start: int = Field(default=60, ge=0)
    """First steps, in which only the discriminator learns."""
    ramp: int = Field(default=100, ge=0)
    """Steps over which the adversarial weight then rises from zero."""
    content: Content | None = "spectrum"
    """The content loss: on features of a network, or a measure that needs none."""
    content_layers: dict[str, float] = Field(default_factory=lambda: {"3_2": 1.0})
    """Feature maps φ(i,j) by name, with their weights."""
    content_weight: float = Field(default=2.0, ge=0)
    """Weight of the content loss. 2 suits `spectrum`, 0.035 `domain`, 0.5 `gradient`,
    0.2 `ms-ssim`; 0.006 is the paper's, for its feature maps of VGG-19."""
    lattice_weight: float = Field(default=30.0, ge=0)
    """Weight of the penalty on checkerboard artefacts: sub-pixel positions that are
    brighter or darker than the others of their pixel (`lattice_loss`), which
    discriminators hardly detect; the paper has 0.
    """
    pixel_weight: float = Field(default=1.0, ge=0)
    """Weight of the mean absolute error; the paper has 0."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """Of the generator."""
    schedule: Schedule = "cosine"
    """Of the generator's learning rate in this stage, see `TrainingSettings`."""
    drops: tuple[float, ...] = ()
    """Drops of the schedule `steps` in this stage; the discriminator's rate falls with
    it."""
    discriminator_rate: float = Field(default=2e-4, gt=0)
    """Of the discriminator."""
    discriminator_betas: Betas = (0.5, 0.99)
    """Betas of its Adam; the paper has 0.9 and 0.999."""
    gradient_penalty: float = Field(default=0.1, ge=0)
    """Weight of ½ |∇D(y)|² at real images y, summed over pixels (R1, Mescheder et al.,
    ICML 2018). Without it a discriminator that sees the fine detail saturates within
    fifty steps and gives no useful gradient. 0.1 suits `unet`, 0.01 the others; the
    paper has 0."""
    real_label: float = Field(default=1.0, gt=0.5, le=1)
    """Label of real images; 0.9 is one-sided label smoothing (Salimans et al., NIPS
    2016)."""
    largest_loss: float = Field(default=1.5, gt=0)
    """Largest loss of PSNR on held-out images, in dB, that texture may cost."""
    recommended_dial: float | None = Field(default=None, ge=0, le=1)
    """The dial that the model's card recommends; when not given, the most texture at a
    negligible loss of PSNR on held-out images."""


class ForZ(BaseModel):
    """Degradation model of planes along one axis, like that of a volume along z."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True
    )

    ratio: float = Field(gt=1, le=MOST_ALONG_Z)
    """Step along z over pixel in the plane."""
    blur: float = 0.0
    """Standard deviation of a Gaussian blur along z, in pixels of the plane, in
    addition to averaging over the step; from 0 to two steps."""

    @model_validator(mode="after")
    def _blur_leaves_something(self) -> Self:
        """Refuse a blur that is wider than any can be undone."""
        check_blur(self.blur, self.ratio, "along z")
        return self


class TrainingSettings(BaseModel):
    """How to train or fine-tune; the same for recipe, Python, command line, viewer."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True
    )

    factor: Literal[2, 3, 4, 8] = 2
    """Super-resolution factor."""
    architecture: str = "fast"
    """A name that `napari_sr.networks` knows."""
    arguments: dict[str, int] = Field(default_factory=dict)
    """What the architecture takes besides the factor."""
    instrument: Instrument = Instrument()
    """Range of degradation models whose recordings it learns to super-resolve."""
    iterations: int = Field(default=10_000, ge=0)
    """Steps of the fidelity stage; 0 keeps the base as it is."""
    fidelity_loss: Literal["l1", "mse", "charbonnier"] = "l1"
    """Pixel loss of the fidelity stage; the paper has `mse`."""
    adversarial: AdversarialSettings | None = None
    """The second stage; none when not given."""
    minutes: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Time limit; the stages then end with it, or earlier with their iterations."""
    batch: int = Field(default=16, ge=1)
    """Patches per step."""
    patch: int = Field(default=48, ge=16)
    """Side of a patch in low-resolution pixels."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Highest learning rate of Adam."""
    schedule: Schedule = "cosine"
    """`cosine`: warmed up, then lowered to a hundredth; `steps`: constant, and a tenth
    of it after each of the drops."""
    drops: tuple[float, ...] = ()
    """Shares of a stage, from 0 to 1, after which the schedule `steps` lowers the rate;
    the paper has none before its adversarial stage, and 0.5 there."""
    adam_betas: Betas = (0.9, 0.99)
    """Betas of the generator's Adam; the paper has 0.9 and 0.999."""
    largest_gradient: float | None = Field(default=0.5, gt=0)
    """Gradients are clipped to this norm; not at all when `None`."""
    lattice_weight: float = Field(default=0.0, ge=0)
    """Weight of the penalty on checkerboard artefacts (`lattice_loss`) in the fidelity
    stage, which needs it less: with 30, a short training gained a third less."""
    averaging: float = Field(default=0.998, ge=0, lt=1)
    """Decay of the exponential moving average of the weights, which becomes the
    model."""
    for_z: ForZ | None = None
    """To learn super-resolution along z from planes: they are degraded like this along
    one axis, and left as they are along the other."""
    share_flat: float = Field(default=0.03, ge=0, le=1)
    """Share of patches that are replaced by a flat field of random brightness."""
    share_held_out: float = Field(default=0.2, gt=0, le=1 / 3)
    """Share of the images that is held out for validation and test."""
    validate_every: int = Field(default=200, ge=1)
    """Steps between two validations on held-out images; also between checkpoints."""
    patience: int = Field(default=10, ge=1)
    """A stage ends after so many validations in a row without improvement."""
    device: str = "auto"
    """Where to compute: auto, cpu, cuda, cuda:1, mps."""
    precision: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Number format of the networks; `auto` is float32, as losses are in any case.

    bfloat16 rounds results to 0.2 to 0.4 % of their value: no loss sees what is
    fainter, such as a checkerboard artefact on a flat field. End such a training in
    float32. On CPUs it is faster only with matrix units for it (AMX), else slower."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Start of all random sequences."""

    @field_validator("largest_gradient", mode="before")
    @classmethod
    def _none_in_a_recipe(cls, value: object) -> object:
        """Accept the word: TOML has no empty value."""
        return None if value == "none" else value

    @model_validator(mode="after")
    def _blur_leaves_something(self) -> Self:
        """Refuse an instrument whose blur is wider than any can be undone."""
        check_blur(self.instrument.psf_sigma[1], self.factor)
        return self

    @model_validator(mode="after")
    def _for_z_has_no_texture(self) -> Self:
        """Refuse an adversarial stage: its texture would differ from plane to plane."""
        if self.for_z is not None and self.adversarial is not None:
            raise ValueError(
                "A training for z has no adversarial stage: XZ and YZ planes are "
                "averaged, which removes texture. Leave one of the two out."
            )
        return self

    @model_validator(mode="after")
    def _drops_belong_to_steps(self) -> Self:
        """Refuse drops that would be ignored, or never come."""
        for stage in (self, self.adversarial):
            if stage is None or not stage.drops:
                continue
            if stage.schedule != "steps" or not all(0 < d < 1 for d in stage.drops):
                raise ValueError(
                    "drops are fractions of a stage between 0 and 1, for the "
                    f"schedule 'steps', got {stage.drops} with schedule "
                    f"{stage.schedule!r}."
                )
        return self
