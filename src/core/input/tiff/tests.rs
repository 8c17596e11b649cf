//! TIFF files of every kind, read or refused.

use ndarray::Array2;

use super::*;
use crate::error::{Advice, Exit};

fn read(path: &Path) -> Result<Grey, DataError> {
    super::read(path, Page::Only)
}

fn header(path: &Path) -> Result<(Header, bool), DataError> {
    super::header(path, Page::Only)
}

fn counts(path: &Path) -> Array2<u16> {
    read(path).unwrap().counts(path, None).unwrap()
}

fn error(bytes: &[u8]) -> DataError {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t007.tif");
    std::fs::write(&path, bytes).unwrap();
    let error = read(&path).and_then(|g| g.counts(&path, None)).unwrap_err();
    assert_eq!(error.exit(), Exit::BadInput, "{error}");
    assert!(error.to_string().contains("t007.tif") && error.hint().is_some(), "{error}");
    error
}

#[test]
fn what_is_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sub/a.tif");
    let plane = Array2::from_shape_fn((5, 7), |(y, x)| (y * 9000 + x * 13) as u16);
    write(&path, plane.view()).unwrap();
    assert_eq!(counts(&path), plane);
    std::fs::write(&path, encode::<colortype::Gray8>((1, 3), &[vec![1, 2, 255]])).unwrap();
    assert_eq!(counts(&path).as_slice().unwrap(), [1, 2, 255]);
}

#[test]
fn other_pixel_types_are_refused_by_name() {
    let rgb = encode::<colortype::RGB8>((1, 1), &[vec![1, 2, 3]]);
    assert!(error(&rgb).to_string().contains("RGB colour"));
    let float = encode::<colortype::Gray32Float>((1, 1), &[vec![0.5]]);
    assert!(error(&float).to_string().contains("floating point"));
    let wide = encode::<colortype::Gray32>((1, 1), &[vec![7]]);
    assert!(error(&wide).to_string().contains("signed, 32-bit or floating point numbers"));
}

#[test]
fn stacks_are_refused_also_where_fiji_wrote_one_page_for_all() {
    let two = encode::<colortype::Gray16>((1, 1), &[vec![1], vec![2]]);
    assert!(matches!(error(&two), DataError::Stack { pages: 2, .. }));

    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
    let mut page = encoder.new_image::<colortype::Gray16>(1, 1).unwrap();
    page.encoder().write_tag(Tag::ImageDescription, "ImageJ=1.54f\nimages=6\nunit=um\n").unwrap();
    page.write_data(&[1]).unwrap();
    let mut bytes = bytes.into_inner();
    assert!(matches!(error(&bytes), DataError::Stack { pages: 6, .. }));

    // The micro sign as old ImageJ wrote it is no UTF-8.
    let unit = bytes.windows(5).position(|w| w == b"unit=").unwrap();
    bytes[unit + 5] = 0xB5;
    assert!(matches!(error(&bytes), DataError::Stack { pages: 6, .. }));
}

#[test]
fn a_cut_file_or_another_format_is_an_error_that_names_it() {
    let good = encode::<colortype::Gray16>((40, 40), &[vec![9; 1600]]);
    for cut in [0, 3, 8, 100, good.len() / 2] {
        error(&good[..cut]);
    }
    error(b"not a TIFF at all");
}

#[test]
fn the_header_tells_size_depth_and_a_cut_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.tif");
    let of = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        header(&path)
    };
    let good = encode::<colortype::Gray16>((3, 40), &[vec![9; 120]]);
    assert_eq!(of(&good).unwrap(), (Header { size: (3, 40), depth: Depth::Bits16 }, false));
    let wide = encode::<colortype::GrayI16>((1, 2), &[vec![-1, 2]]);
    assert_eq!(of(&wide).unwrap().0.depth, Depth::Wide);
    let float = encode::<colortype::Gray32Float>((1, 1), &[vec![0.5]]);
    assert_eq!(of(&float).unwrap().0.depth, Depth::Float);
    let two = encode::<colortype::Gray8>((1, 1), &[vec![1], vec![2]]);
    assert!(matches!(of(&two), Err(DataError::Stack { pages: 2, .. })));
    // The page's entries stand behind its pixels here; a copy of them in front leaves pixels to be cut.
    let rows: Vec<u16> = (0..120).collect();
    let mut classic = entries_first((3, 40), 16, 1, &bytes(&rows));
    assert_eq!(of(&classic).unwrap(), (Header { size: (3, 40), depth: Depth::Bits16 }, false));
    classic.truncate(classic.len() - 7);
    assert!(of(&classic).unwrap().1);
    assert!(crate::input::image_file::header(&path).unwrap_err().to_string().contains("t.tif"));
}

#[test]
fn what_is_packed_or_compressed_in_other_ways_is_said_in_words_and_by_a_dry_run_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.tif");
    for (bits, method, part, hint) in [
        (11, 1, "its pixels are packed with 11 bits each, expected 8, 10, 12, 14 or 16", "unpacked"),
        (16, 34925, "compressed with LZMA (method 34925), expected no compression", "without compression"),
        (12, 8, "its pixels are packed with 12 bits each", "unpacked"),
        (16, 34712, "compressed with JPEG 2000", "without compression"),
        (16, 77, "compressed with an unknown method (method 77)", "without compression"),
    ] {
        std::fs::write(&path, entries_first((2, 4), bits, method, &[1; 16])).unwrap();
        for error in [read(&path).unwrap_err(), header(&path).unwrap_err()] {
            let text = error.to_string();
            assert!(text.contains("t.tif: ") && text.contains(part), "{text}");
            assert!(!text.contains("Unknown(") && error.hint().unwrap().contains(hint), "{error:?}");
            assert_eq!(error.exit(), Exit::BadInput);
        }
    }
}

#[test]
fn pixels_of_10_12_and_14_bits_are_unpacked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.tif");
    // Two rows of three pixels; every row begins with a byte.
    for (bits, expected) in [
        (10_u32, [1023_u16, 1, 512, 2, 3, 4]),
        (12, [4095, 1, 2048, 2, 3, 4]),
        (14, [16383, 1, 8192, 2, 3, 4]),
    ] {
        let mut packed = Vec::new();
        for row in expected.chunks(3) {
            let all = row.iter().fold(0_u64, |all, v| all << bits | u64::from(*v));
            let bytes = (3 * bits).div_ceil(8);
            packed.extend(&(all << (8 * bytes - 3 * bits)).to_be_bytes()[8 - bytes as usize..]);
        }
        std::fs::write(&path, entries_first((2, 3), bits, 1, &packed)).unwrap();
        assert_eq!(counts(&path).as_slice().unwrap(), expected, "{bits}");
    }
}

#[test]
fn a_page_is_read_by_the_place_of_its_directory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.tif");
    let pages: Vec<Vec<u16>> = (0..5).map(|n| vec![n, n + 1, n + 2]).collect();
    std::fs::write(&path, encode::<colortype::Gray16>((1, 3), &pages)).unwrap();
    let stack = stack::read(&path).unwrap();
    assert_eq!(stack.pages.len(), 5);
    for (page, expected) in stack.pages.iter().zip(&pages) {
        let read = super::read(&path, *page).unwrap().counts(&path, None).unwrap();
        assert_eq!(read.as_slice().unwrap(), expected);
    }
}

#[test]
fn a_large_honest_frame_is_read_and_one_the_file_cannot_hold_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.tif");
    // 288 MB in one strip, more than the decoder allows by itself; the file is a hole, which takes no disk.
    let (side, behind) = (12_000, 8 + 2 + 8 * 12 + 4);
    let of = |method, length: u64| {
        std::fs::write(&path, entries_first((side, side), 16, method, &[])).unwrap();
        std::fs::File::options().append(true).open(&path).unwrap().set_len(behind + length).unwrap();
    };
    let all = 2 * u64::from(side) * u64::from(side);
    of(1, all);
    assert_eq!(header(&path).unwrap().0.size, (12_000, 12_000));
    assert_eq!(counts(&path).dim(), (12_000, 12_000));
    for (method, length) in [(1, all - 200), (8, all / 1100), (5, all / 4200), (50_000, all / 34_000)] {
        of(method, length);
        for error in [read(&path).unwrap_err(), header(&path).unwrap_err()] {
            let text = error.to_string();
            assert!(text.contains("declares 12000 x 12000 pixels of 16 bits"), "{method}: {text}");
            assert!(text.contains("288.0 MB") && error.exit() == Exit::BadInput, "{text}");
        }
    }
}

#[test]
fn bytes_changed_in_compressed_pixels_are_a_matter_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.tif");
    let plane = Array2::from_shape_fn((40, 40), |(y, x)| (y * 977 + x * x * 131) as u16);
    write(&path, plane.view()).unwrap();
    let good = std::fs::read(&path).unwrap();
    let mut refused = 0;
    for at in 8..200 {
        let mut bytes = good.clone();
        bytes[at] ^= 0x5A;
        std::fs::write(&path, bytes).unwrap();
        if let Err(error) = read(&path) {
            assert_eq!(error.exit(), Exit::BadInput, "{error:?}");
            assert!(error.hint().is_some());
            refused += 1;
        }
    }
    assert!(refused > 20, "{refused}");
}

fn bytes(pixels: &[u16]) -> Vec<u8> {
    pixels.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Returns a grey TIFF whose entries stand in front of its pixels, as most programs write it.
fn entries_first((height, width): (u16, u16), bits: u32, method: u32, pixels: &[u8]) -> Vec<u8> {
    let row = (u32::from(width) * bits).div_ceil(8);
    let entries: [(u16, u16, u32); 8] = [
        (256, 3, width.into()),
        (257, 3, height.into()),
        (258, 3, bits),
        (259, 3, method),
        (262, 3, 1),
        (273, 4, 8 + 2 + 8 * 12 + 4),
        (278, 3, height.into()),
        (279, 4, u32::from(height) * row),
    ];
    let mut file = b"II*\0\x08\0\0\0\x08\0".to_vec();
    for (tag, kind, value) in entries {
        file.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        file.extend([1_u32.to_le_bytes(), value.to_le_bytes()].concat());
    }
    file.extend([0; 4]);
    file.extend(pixels);
    file
}
