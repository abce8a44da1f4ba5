"""What programs and instruments write into TIFFs: sizes, values, parts of a set."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from sample_files import GRAY, PLAIN, RAMP, axes_of, read, read_file

import napari_sr as sr
from napari_sr.cli import main
from napari_sr.files import create_stack, open_stack
from napari_sr.image.info import Channel, ImageInfo
from napari_sr.image.stack import StackError


def write_imagej(path, array, lines, unit="micron"):
    """Write as ImageJ does, which is not as tifffile does."""
    text = f"ImageJ=1.54f\nimages={len(array)}\nslices={len(array)}\nunit={unit}\n"
    tifffile.imwrite(
        path,
        array,
        description=f"{text}loop=false\n{lines}".encode(),
        resolution=(5.0, 5.0),
        resolutionunit="NONE",
        **PLAIN,
    )
    return path


def write_ome(path, array, attributes="", head="", data="<TiffData/>", **options):
    n, height, width = array.shape
    xml = (
        '<?xml version="1.0"?><OME '
        f'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" {head}>'
        '<Image ID="Image:0"><AcquisitionDate>2024-05-06T07:08:09</AcquisitionDate>'
        '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" '
        f'SizeX="{width}" SizeY="{height}" SizeZ="{n}" SizeC="1" SizeT="1" '
        f'{attributes}><Channel ID="Channel:0" Name="GFP" Color="16711935" '
        f'SamplesPerPixel="1"/>{data}</Pixels></Image></OME>'
    )
    tifffile.imwrite(path, array, description=xml.encode(), **PLAIN, **options)
    return path


def pixel_of(path):
    return [(axis.spacing, axis.unit) for axis in axes_of(path)[-2:]]


# -- Where the pixels are ----------------------------------------------------------


def test_imagej_leaves_out_a_step_of_one(tmp_path):
    path = write_imagej(tmp_path / "a.tif", RAMP, "")
    assert [(a.spacing, a.unit) for a in axes_of(path)] == [
        (1.0, "um"),
        (0.2, "um"),
        (0.2, "um"),
    ]
    path = write_imagej(tmp_path / "b.tif", RAMP, "", unit="pixel")
    assert axes_of(path)[0].unit is None


def test_tags_tell_the_size_where_the_xml_does_not(tmp_path):
    tags = {"resolution": (20000, 10000), "resolutionunit": "CENTIMETER"}
    path = write_ome(tmp_path / "a.ome.tif", RAMP, **tags)
    assert pixel_of(path) == [(1.0, "um"), (0.5, "um")]
    both = 'PhysicalSizeX="3" PhysicalSizeY="4" PhysicalSizeZ="5"'
    path = write_ome(tmp_path / "b.ome.tif", RAMP, both, **tags)
    assert pixel_of(path) == [(4.0, "um"), (3.0, "um")]


@pytest.mark.parametrize("told", ["X", "Y"])
def test_pixels_are_square_where_one_side_is_told(tmp_path, told):
    size = f'PhysicalSize{told}="0.5" PhysicalSize{told}Unit="mm"'
    path = write_ome(tmp_path / "a.ome.tif", RAMP, size)
    assert pixel_of(path) == [(0.5, "mm")] * 2


FEI = b"[Scan]\r\nPixelWidth=5e-009\r\nPixelHeight=6e-009\r\n[System]\r\nType=SEM\r\n\0"
ZEISS = b"0\r\n0\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 5.000 nm\r\n\0"


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (34682, FEI, [(6e-9, "m"), (5e-9, "m")]),
        (34118, ZEISS, [(5.0, "nm"), (5.0, "nm")]),
        (34118, b"0\r\n\0", [(1.0, None)] * 2),
    ],
    ids=["FEI", "Zeiss", "Zeiss without a size"],
)
def test_electron_microscopes_tell_their_pixel_size(tmp_path, code, text, expected):
    tag = (code, 2, len(text), text, True)
    tifffile.imwrite(tmp_path / "a.tif", RAMP[0], extratags=[tag], **PLAIN)
    for (spacing, unit), (size, name) in zip(
        pixel_of(tmp_path / "a.tif"), expected, strict=True
    ):
        assert spacing == pytest.approx(size)
        assert unit == name


def test_metamorph_tells_its_pixel_size(tmp_path):
    told = "".join(
        f'<prop id="spatial-calibration-{key}" type="{kind}" value="{value}"/>'
        for key, kind, value in (
            ("state", "bool", "on"),
            ("x", "float", 0.65),
            ("y", "float", 0.65),
            ("units", "string", "um"),
        )
    )
    text = f"<MetaData><PlaneInfo>{told}</PlaneInfo></MetaData>"
    tifffile.imwrite(
        tmp_path / "a.tif", RAMP[0], description=text, software="MetaSeries", **PLAIN
    )
    assert pixel_of(tmp_path / "a.tif") == [(0.65, "um")] * 2


# -- What the pixels are -----------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "dtype", "of"),
    [
        ("cf=0\nc0=-32768.0\nc1=1.0\n", "int16", lambda a: a - 32768),
        ("cf=0\nc0=1.5\nc1=0.25\n", "float32", lambda a: a * 0.25 + 1.5),
        ("cf=0\nc0=0.0\nc1=1.0\n", "uint16", lambda a: a),
    ],
    ids=["signed", "density", "none"],
)
def test_a_straight_line_of_imagej_gives_values(tmp_path, line, dtype, of):
    path = write_imagej(tmp_path / "a.tif", RAMP, line)
    values = read_file(path)
    assert values.dtype == dtype
    np.testing.assert_allclose(values, of(RAMP.astype(float)))


def test_any_other_function_of_imagej_is_handed_on(tmp_path):
    path = write_imagej(tmp_path / "a.tif", RAMP, "cf=2\nc0=1.0\nc1=2.0\nvunit=OD\n")
    sr.upscale_file(path, tmp_path / "r.ome.tif", sr.load_model("nearest", factor=2))
    with open_stack(tmp_path / "r.ome.tif") as result:
        assert result.info.values == "ImageJ function cf=2 c0=1.0 c1=2.0 in OD"
        assert result.dtype == RAMP.dtype


def table(*levels):
    ramp = np.arange(256, dtype=np.uint16) * 257
    return np.array([ramp * level for level in levels], np.uint16)


@pytest.mark.parametrize(
    ("colours", "colour"),
    [(table(0, 1, 0), "#00ff00"), (table(1, 1, 1), ""), (table(1, 0, 1), "#ff00ff")],
    ids=["green", "gray", "magenta"],
)
def test_the_indices_of_a_ramp_are_counts(tmp_path, colours, colour):
    counts = RAMP[0].astype(np.uint8)
    tifffile.imwrite(
        tmp_path / "a.tif", counts, photometric="palette", colormap=colours
    )
    with open_stack(tmp_path / "a.tif") as stack:
        assert np.array_equal(read(stack), counts)
        assert stack.info.channels == (Channel(colour=colour),)


def test_the_indices_of_a_map_of_colours_are_none(tmp_path):
    colours = np.random.default_rng(0).integers(0, 65535, (3, 256)).astype(np.uint16)
    tifffile.imwrite(
        tmp_path / "a.tif",
        RAMP[0].astype(np.uint8),
        photometric="palette",
        colormap=colours,
    )
    with pytest.raises(StackError, match="not a ramp of one colour"):
        open_stack(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", [".ome.tif", ".ome.zarr"])
def test_a_result_is_shown_as_its_recording(tmp_path, suffix):
    info = ImageInfo(
        (Channel("GFP", "#00ff00"),), True, "2024-05-06T07:08:09", values="OD"
    )
    source = write_ome(tmp_path / "a.ome.tif", RAMP)
    with open_stack(source) as stack:
        assert stack.info == ImageInfo(info.channels, False, info.acquired)
        with create_stack(
            tmp_path / f"b{suffix}",
            shape=stack.shape,
            dtype=stack.dtype,
            axes=stack.axes,
            provenance={},
            info=info,
        ) as writer:
            for index in stack.indices():
                writer.write(index, stack.plane(index))
    with open_stack(tmp_path / f"b{suffix}") as result:
        assert result.info == info
        assert np.array_equal(read(result), RAMP)


def test_white_stays_zero(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", RAMP, photometric="miniswhite", metadata=None)
    model = sr.load_model("nearest", factor=2)
    sr.upscale_file(tmp_path / "a.tif", tmp_path / "r.ome.tif", model)
    with tifffile.TiffFile(tmp_path / "r.ome.tif") as tif:
        assert tif.pages.first.photometric == tifffile.PHOTOMETRIC.MINISWHITE
        assert np.array_equal(tif.asarray()[:, ::2, ::2], RAMP)


# -- Which planes there are --------------------------------------------------------


def test_pages_that_differ_in_encoding_only_are_one_stack(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for number, plane in enumerate(RAMP):
            coding = "zlib" if number % 2 else None
            options = {"compression": coding, "rowsperstrip": 9 + number, **PLAIN}
            writer.write(plane, **options)
    assert np.array_equal(read_file(tmp_path / "a.tif"), RAMP)


@pytest.mark.parametrize("tag", ["ImageLength", "ImageWidth", "Compression"])
def test_a_page_with_a_damaged_header_is_not_left_out(tmp_path, tag):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RAMP, compression="lzw", **PLAIN)
    with tifffile.TiffFile(path) as tif:
        at = tif.pages[1].aspage().tags[tag].offset
    held = bytearray(path.read_bytes())
    held[at + 2] ^= 0x40  # the type of the tag
    path.write_bytes(held)
    with pytest.raises(StackError, match="header of page 1 cannot be read"):
        read_file(path)


def test_planes_that_all_lie_in_another_file_are_read_there(tmp_path):
    tifffile.imwrite(tmp_path / "pixels.ome.tif", RAMP, **PLAIN)
    data = "".join(
        f'<TiffData FirstZ="{z}" IFD="{z}" PlaneCount="1">'
        '<UUID FileName="pixels.ome.tif">urn:uuid:1</UUID></TiffData>'
        for z in range(4)
    )
    master = write_ome(
        tmp_path / "m.ome.tif", 0 * RAMP, head='UUID="urn:uuid:2"', data=data
    )
    assert np.array_equal(read_file(master), RAMP)


def test_of_several_positions_that_of_the_file_is_read(tmp_path):
    def image(k):
        planes = "".join(
            f'<TiffData FirstZ="{z}" IFD="{z}" PlaneCount="1"><UUID '
            f'FileName="p{k}.ome.tif">urn:uuid:{k}</UUID></TiffData>'
            for z in range(4)
        )
        return (
            f'<Image ID="Image:{k}"><Pixels ID="Pixels:{k}" DimensionOrder="XYCZT" '
            'Type="uint16" SizeX="70" SizeY="60" SizeZ="4" SizeC="1" SizeT="1" '
            f'PhysicalSizeX="{k + 1}"><Channel ID="Channel:{k}:0" '
            f'SamplesPerPixel="1"/>{planes}</Pixels></Image>'
        )

    for k in range(2):
        xml = (
            '<?xml version="1.0"?><OME '
            'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{k}">{image(0)}{image(1)}</OME>'
        )
        tifffile.imwrite(
            tmp_path / f"p{k}.ome.tif", RAMP + k, description=xml.encode(), **PLAIN
        )
    for k in range(2):
        assert np.array_equal(read_file(tmp_path / f"p{k}.ome.tif"), RAMP + k)
        assert pixel_of(tmp_path / f"p{k}.ome.tif")[1] == (k + 1, "um")


def test_an_imagej_table_of_any_colours_shows_counts(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif",
        RAMP.astype(np.uint8),
        imagej=True,
        colormap=np.random.default_rng(0).integers(0, 255, (3, 256)).astype(np.uint8),
        metadata={"axes": "ZYX"},
    )
    assert np.array_equal(read_file(tmp_path / "a.tif"), RAMP.astype(np.uint8))


def test_one_of_several_images_is_named(tmp_path):
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for number, name in enumerate(("left", "right")):
            options = {"metadata": {"axes": "ZYX", "Name": name}, **GRAY}
            writer.write(RAMP[:, number:], **options)
    with pytest.raises(StackError, match=r"holds 2 images \(0: left, 1: right\)"):
        open_stack(path)
    for name in ("1", "right"):
        assert np.array_equal(read_file(path / name), RAMP[:, 1:])
    with pytest.raises(StackError, match=r"none is middle"):
        open_stack(path / "middle")
    command = ["upscale", str(path), "-o", str(tmp_path / "out"), "-m", "nearest"]
    assert main([*command, "--factor", "2", "--series", "right"]) == 0
    result = read_file(tmp_path / "out" / "a_right_x2.ome.tif")
    assert np.array_equal(result[:, ::2, ::2], RAMP[:, 1:])
    nearest = sr.load_model("nearest", factor=2)
    with pytest.raises(StackError, match="is its own source"):
        sr.upscale_file(path / "1", path, nearest, overwrite=True)
