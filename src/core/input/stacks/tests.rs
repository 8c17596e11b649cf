//! Stacks written page by page, with what programs say of them.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use ::tiff::encoder::{Rational, TiffEncoder, colortype};
use ::tiff::tags::Tag;

use super::*;
use crate::error::{Advice, Exit};
use crate::input::image_file::Pixels;
use crate::input::tiff;

/// Writes 2 x 1 pages of which page n holds n, the first with a description.
fn write(path: &Path, pages: u16, description: &str, each: impl Fn(u16) -> Option<String>) {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
    for n in 0..pages {
        let mut image = encoder.new_image::<colortype::Gray16>(2, 1).unwrap();
        if n == 0 {
            let directory = image.encoder();
            directory.write_tag(Tag::ImageDescription, description).unwrap();
            directory.write_tag(Tag::XResolution, Rational { n: 100, d: 11 }).unwrap();
            directory.write_tag(Tag::ResolutionUnit, 1_u16).unwrap();
        }
        if let Some(json) = each(n) {
            image.encoder().write_tag(Tag::Unknown(51123), json.as_str()).unwrap();
        }
        image.write_data(&[n, 7]).unwrap();
    }
    std::fs::write(path, bytes.into_inner()).unwrap();
}

struct Case {
    dir: tempfile::TempDir,
    path: PathBuf,
}

fn case(pages: u16, description: &str) -> Case {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ome.tif");
    write(&path, pages, description, |_| None);
    Case { dir, path }
}

fn read(path: &Path, pages: Option<Pages>) -> Result<Layout, DataError> {
    layout(path, pages, Some(&mut Files::default())).map(Option::unwrap)
}

/// Returns channel, z, t and the value of every plane.
fn planes(layout: &Layout) -> Vec<(String, i64, i64, u16)> {
    let value = |p: &InFile| match tiff::read(&p.file, p.page).unwrap().pixels {
        Pixels::Bits16(v) => v[0],
        other => panic!("{other:?}"),
    };
    let or_none = |n: Option<i64>| n.unwrap_or(-1);
    layout
        .planes
        .iter()
        .map(|p| (p.channel.clone().unwrap_or_default(), or_none(p.z), or_none(p.t), value(p)))
        .collect()
}

#[test]
fn channels_change_fastest_in_hyperstacks_of_imagej() {
    let case =
        case(12, "ImageJ=1.54f\nimages=12\nchannels=2\nslices=3\nframes=2\nunit=\\u00B5m\nfinterval=300.0\n");
    let found = read(&case.path, None).unwrap();
    let all = planes(&found);
    assert_eq!(all[1], ("channel-1".into(), 0, 0, 1));
    assert_eq!(all[2], ("channel-0".into(), 1, 0, 2));
    assert_eq!(all[11], ("channel-1".into(), 2, 1, 11));
    let expected = Scale { pixel_size_um: Some(0.11), frame_interval_s: Some(300.0) };
    assert_eq!((found.scale, found.what), (expected, "ImageJ stack"));
}

#[test]
fn a_stack_without_dimensions_is_a_movie_and_slices_are_said() {
    let plain = case(3, "ImageJ=1.54f\nimages=3\n");
    let found = read(&plain.path, None).unwrap();
    assert_eq!(planes(&found)[2], (String::new(), -1, 2, 2));
    let slices = case(3, "ImageJ=1.54f\nimages=3\nslices=3\n");
    let found = read(&slices.path, None).unwrap();
    assert_eq!(planes(&found)[2], (String::new(), 2, -1, 2));
    assert!(found.notes[0].contains("--pages t"));
    assert_eq!(planes(&read(&slices.path, Some(Pages::T)).unwrap())[2], (String::new(), -1, 2, 2));
    let error = read(&case(3, "ImageJ=1.54f\nimages=3\nslices=2\nframes=2\n").path, None).unwrap_err();
    assert!(error.to_string().contains("2 slice(s) and 2 frame(s), expected 3 of them"), "{error}");
}

#[test]
fn one_directory_may_stand_for_a_whole_stack() {
    let case = case(1, "ImageJ=1.54f\nimages=3\nframes=3\n");
    let mut bytes = std::fs::read(&case.path).unwrap();
    // Pixels of all planes at the end, and the strip's offset moved there.
    let start = bytes.len() as u32;
    for n in 0_u16..3 {
        bytes.extend([n.to_le_bytes(), 7_u16.to_le_bytes()].concat());
    }
    let entry =
        bytes.windows(8).position(|w| w == [17, 1, 4, 0, 1, 0, 0, 0]).expect("strip offsets (273), one LONG");
    bytes[entry + 8..entry + 12].copy_from_slice(&start.to_le_bytes());
    std::fs::write(&case.path, bytes).unwrap();
    let found = read(&case.path, None).unwrap();
    assert_eq!(planes(&found).iter().map(|p| p.3).collect::<Vec<_>>(), [0, 1, 2]);
    let cut = self::case(1, "ImageJ=1.54f\nimages=3000000\n");
    assert!(read(&cut.path, None).unwrap_err().to_string().contains("tells of 3000000 planes"));
}

fn ome(pixels: &str) -> String {
    format!(
        "<?xml version='1.0'?><OME xmlns='http://www.openmicroscopy.org/Schemas/OME/2016-06'>{pixels}</OME>"
    )
}

#[test]
fn the_order_of_pages_is_that_of_the_ome_xml() {
    let xml = ome(
        "<Image><Pixels DimensionOrder='XYTCZ' SizeC='2' SizeZ='1' SizeT='3' PhysicalSizeX='0.11' \
                   TimeIncrement='60'><Channel Name='BF'/><Channel Name='GFP' Color='16711935'/><TiffData/></Pixels></Image>",
    );
    let case = case(6, &xml);
    let found = read(&case.path, None).unwrap();
    let all = planes(&found);
    assert_eq!(all[1], ("BF".into(), -1, 1, 1));
    assert_eq!(all[3], ("GFP".into(), -1, 0, 3));
    assert_eq!(found.scale, Scale { pixel_size_um: Some(0.11), frame_interval_s: Some(60.0) });
    assert_eq!(
        (&found.channels[..], found.colors["GFP"]),
        (&["BF".to_owned(), "GFP".into()][..], [0, 255, 0])
    );
}

#[test]
fn sets_of_files_are_followed_and_what_is_not_there_is_said() {
    let block = |file: &str, t: u32| {
        format!("<TiffData IFD='0' FirstT='{t}' PlaneCount='1'><UUID FileName='{file}'>u</UUID></TiffData>")
    };
    let blocks = block("a.ome.tif", 0) + &block("b.ome.tif", 1) + &block("gone.ome.tif", 2);
    let xml = ome(&format!(
        "<Image><Pixels DimensionOrder='XYZCT' SizeC='1' SizeZ='1' SizeT='3'>{blocks}</Pixels></Image>"
    ));
    let case = case(1, &xml);
    write(&case.dir.path().join("b.ome.tif"), 2, &xml, |_| None);
    let mut files = Files::default();
    let found = layout(&case.path, None, Some(&mut files)).unwrap().unwrap();
    assert_eq!(planes(&found).iter().map(|p| p.2).collect::<Vec<_>>(), [0, 1]);
    assert!(
        found.warnings[0].contains("1 of 3 planes are missing: gone.ome.tif is not there"),
        "{:?}",
        found.warnings
    );
    assert!(files.used(&case.dir.path().join("b.ome.tif")));
    assert_eq!(layout(&case.path, None, None).unwrap().map(|l| l.what), None);
}

#[test]
fn images_of_a_file_are_positions_and_pages_that_are_not_there_an_error() {
    let image = |name: &str, page: u32| {
        format!(
            "<Image Name='{name}'><Pixels DimensionOrder='XYZCT' SizeC='1' SizeZ='1' SizeT='1'><TiffData IFD='{page}' \
             PlaneCount='1'/></Pixels></Image>"
        )
    };
    let found = read(&case(2, &ome(&(image("p1", 0) + &image("p2", 1)))).path, None).unwrap();
    assert_eq!(found.planes.iter().map(|p| p.series.clone().unwrap()).collect::<Vec<_>>(), ["p1", "p2"]);
    let error = read(&case(2, &ome(&image("p", 7))).path, None).unwrap_err();
    assert!(error.to_string().contains("tells of page 7") && error.exit() == Exit::BadInput, "{error}");
    let twice = "<TiffData IFD='0' PlaneCount='1'/><TiffData IFD='1' PlaneCount='1'/>";
    let twice = format!("<Image><Pixels SizeC='1' SizeZ='1' SizeT='1'>{twice}</Pixels></Image>");
    let error = read(&case(2, &ome(&twice)).path, None).unwrap_err();
    assert!(error.to_string().contains("names two pages for channel 0"), "{error}");
}

#[test]
fn micro_manager_says_it_page_by_page() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("MMStack.tif");
    let json = |n: u16| {
        let (c, t) = (n % 2, n / 2);
        Some(format!(
            "{{\"ChannelIndex\":{c},\"Channel\":\"{}\",\"FrameIndex\":{t},\"SliceIndex\":0,\"PixelSizeUm\":0.065,\
             \"ElapsedTime-ms\":{}}}",
            ["BF", "GFP"][usize::from(c)],
            t * 600
        ))
    };
    write(&path, 6, "", json);
    let found = read(&path, None).unwrap();
    assert_eq!(planes(&found)[3], ("GFP".into(), -1, 1, 3));
    assert_eq!(found.scale, Scale { pixel_size_um: Some(0.065), frame_interval_s: Some(0.6) });
    write(&path, 1, "", |_| Some("{".into()));
    assert!(read(&path, None).unwrap_err().to_string().contains("metadata of page 0 is no JSON"));
}

#[test]
fn pages_of_files_that_say_nothing_are_times_unless_it_is_said() {
    let case = case(3, "something");
    let found = read(&case.path, None).unwrap();
    assert_eq!(planes(&found)[2], (String::new(), -1, 2, 2));
    assert!(found.notes[0].contains("taken for times"));
    assert_eq!(planes(&read(&case.path, Some(Pages::C)).unwrap())[1].0, "channel-1");
    assert_eq!(planes(&read(&case.path, Some(Pages::Z)).unwrap())[1].1, 1);
    let shaped = self::case(3, "{\"shape\": [3, 1, 2]}");
    assert_eq!(planes(&read(&shaped.path, None).unwrap())[2].2, 2);
}
