//! Names as programs write them, read.

use std::path::{Path, PathBuf};

use super::*;

fn entries(names: &[String]) -> Vec<Entry> {
    let entry = |name: &String| {
        let (folder, file) = match name.split_once('/') {
            Some((folder, file)) => (Some(folder.to_owned()), file),
            None => (None, name.as_str()),
        };
        Entry { path: PathBuf::from(file), folder }
    };
    names.iter().map(entry).collect()
}

fn read_all(names: &[String], pattern: Option<&str>) -> Result<Names, DataError> {
    let pattern = pattern.map(|p| Pattern::parse(p).unwrap());
    read(Path::new("movie"), &entries(names), pattern.as_ref(), &mut Vec::new())
}

/// Returns the times of eight names in their order, in frames or milliseconds.
fn times(name: impl Fn(usize) -> String) -> Vec<i64> {
    let names: Vec<String> = (0..8).map(name).collect();
    let read = read_all(&names, None).unwrap();
    let unit = if read.unit == TimeUnit::Frames { 1000 } else { 1 };
    read.files.iter().map(|f| f.time.unwrap() / unit).collect()
}

#[test]
fn single_plane_exports_of_usual_programs_are_read() {
    let counted = |from: i64| (from..from + 8).collect::<Vec<_>>();
    assert_eq!(times(|t| format!("img_channel000_position000_time{t:09}_z000.tif")), counted(0));
    let dropped = |t: usize| match t {
        0 => "img_channel001.tif".into(),
        t => format!("img_channel001_time{t:09}.tif"),
    };
    assert_eq!(times(dropped), counted(0));
    assert_eq!(times(|t| format!("img_{t:09}_GFP_000.tif")), counted(0));
    assert_eq!(times(|t| format!("Series001_t{t:02}_z0_ch00.tif")), counted(0));
    assert_eq!(times(|t| format!("exp001T{:03}C2.tif", t + 1)), counted(1));
    assert_eq!(times(|t| format!("exp001xy01t{:03}.tif", t + 1)), counted(1));
    assert_eq!(times(|t| format!("exp001t{:03}xy01.tif", t + 1)), counted(1));
    assert_eq!(times(|t| format!("exp_w1GFP_s1_t{}.TIF", t + 1)), counted(1));
    assert_eq!(times(|t| format!("man_seg_{t:03}_012.tif")), counted(0));
    assert_eq!(times(|t| format!("t{t:03}_cp_masks.tif")), counted(0));
    assert_eq!(times(|t| format!("img ({}).tif", t + 1)), counted(1));
    assert_eq!(times(|t| format!("my image {t}.tif")), counted(0));
    assert_eq!(times(|t| format!("exp_Pos0_t{t:03}.ome.tif")), counted(0));
    let signed: Vec<i64> = (-2..6).collect();
    assert_eq!(times(|t| format!("t{:+}.tif", t as i64 - 2)), signed);
    let half: Vec<i64> = (0..8).map(|t| 500 * t).collect();
    assert_eq!(times(|t| format!("frame_{:.1}s.tif", t as f64 * 0.5)), half);
    let hours: Vec<i64> = (0..8).map(|t| 6 * 3_600_000 * t).collect();
    assert_eq!(times(|t| format!("VID1_A1_1_{:02}d{:02}h00m.tif", t / 4, t % 4 * 6)), hours);
}

#[test]
fn decimals_without_a_unit_are_in_order_but_tell_no_interval() {
    let names: Vec<String> = (0..8).map(|t| format!("frame_{:.2}.tif", f64::from(t) * 0.5)).collect();
    let read = read_all(&names, None).unwrap();
    assert_eq!(read.unit, TimeUnit::Frames);
    assert_eq!(read.files.iter().map(|f| f.time.unwrap()).collect::<Vec<_>>()[..3], [0, 500, 1000]);
}

#[test]
fn midnight_is_crossed_in_order() {
    let names = ["movie_20230115_235000.tif", "movie_20230116_000000.tif"].map(str::to_owned);
    let read = read_all(&names, None).unwrap();
    assert_eq!(read.files[1].time.unwrap() - read.files[0].time.unwrap(), 600_000);
    assert_eq!(read.table.fields[0].last, "2023-01-16 00:00:00");
}

/// Returns position, channel, focal plane and frame of the last name.
fn last(names: &[&str]) -> (Option<String>, Option<String>, Option<i64>, Option<i64>) {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let file = read_all(&names, None).unwrap().files.pop().unwrap();
    (file.position, file.channel, file.z, file.time.map(|t| t / 1000))
}

#[test]
fn positions_channels_and_planes_are_not_time() {
    let text = |t: &str| Some(t.to_owned());
    assert_eq!(last(&["t0_BF.tif", "t0_GFP.tif", "t1_GFP.tif"]), (None, text("GFP"), None, Some(1)));
    assert_eq!(last(&["Pos0_t0_BF.tif", "Pos1_t1_BF.tif"]), (text("position-1"), None, None, Some(1)));
    assert_eq!(last(&["B2_t0_BF.tif", "C3_t0_BF.tif", "C3_t1_BF.tif"]), (text("C03"), None, None, Some(1)));
    assert_eq!(last(&["t0_z0_BF.tif", "t0_z1_BF.tif", "t1_z2_BF.tif"]), (None, None, Some(2), Some(1)));
    assert_eq!(last(&["t0_ch0.tif", "t0_ch1.tif", "t4_ch1.tif"]), (None, text("channel-1"), None, Some(4)));
    assert_eq!(last(&["p1/t0.tif", "p10/t0.tif", "p10/t1.tif"]), (text("p10"), None, None, Some(1)));
    assert_eq!(last(&["p1/t0.tif", "p1/t1.tif"]), (text("p1"), None, None, Some(1)));
    let two = last(&["channel1/C1-MAX_t0.tif", "channel1/C1-MAX_t10.tif", "channel2/C2-MAX_t10.tif"]);
    assert_eq!(two, (None, text("channel2"), None, Some(10)));
    let twice = last(&["xy01/exp_xy01_t1.tif", "xy02/exp_xy02_t1.tif", "xy02/exp_xy02_t2.tif"]);
    assert_eq!(twice, (text("xy02"), None, None, Some(2)));
    let pos = last(&["exp_MMStack_Pos0.ome.tif", "exp_MMStack_Pos1.ome.tif"]);
    assert_eq!(pos, (text("position-1"), None, None, None));
}

fn refused(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let error = read_all(&names, None).unwrap_err();
    format!("{error}; {}", crate::error::Advice::hint(&error).unwrap())
}

#[test]
fn what_can_be_read_in_two_ways_is_refused_with_the_pattern_that_settles_it() {
    let text = refused(&["img_000_GFP_000.tif", "img_001_GFP_000.tif", "img_000_GFP_001.tif"]);
    assert!(text.contains("differ in a number (000, 001) and in a number (000, 001)"), "{text}");
    assert!(text.contains("--pattern 'img_{time:d}_GFP_{position}.tif'"), "{text}");
    let text = refused(&["t0_apple.tif", "t0_pear.tif"]);
    assert!(text.contains("a word (apple, pear)") && text.contains("'t0_{channel}.tif'"), "{text}");
    assert!(refused(&["t1.tif", "t01.tif"]).contains("two files of one frame, t1.tif and t01.tif"));
    assert!(
        refused(&["a_1.tif", "b_c_2_3.tif"]).contains("names of two kinds, such as a_1.tif and b_c_2_3.tif")
    );
}

#[test]
fn a_pattern_overrules() {
    let names = ["img_000_GFP_000.tif", "img_001_GFP_001.tif", "notes.tif"].map(str::to_owned);
    let mut warnings = Vec::new();
    let pattern = Pattern::parse("img_{z:d}_{channel}_{time:d}.tif").unwrap();
    let read = read(Path::new("m"), &entries(&names), Some(&pattern), &mut warnings).unwrap();
    assert_eq!((read.files[1].z, read.files[1].time, read.files.len()), (Some(1), Some(1000), 2));
    assert!(warnings[0].contains("1 file(s) are not named") && warnings[0].contains("notes.tif"));
    let error = read_all(&names, Some("t{time:d}")).unwrap_err().to_string();
    assert!(error.contains("none of its 3 files is named t{time:d}, such as img_000_GFP_000.tif"), "{error}");
}

#[test]
fn the_table_says_what_is_missing() {
    let names = ["Pos0_t0.tif", "Pos0_t1.tif", "Pos1_t1.tif"].map(str::to_owned);
    let table = read_all(&names, None).unwrap().table;
    assert_eq!(
        table.lines(),
        [
            "movie: 3 files, read as Pos{position}_t{time:d}.tif",
            "  time           2 values  0          to 1",
            "  position       2 values  position-0 to position-1",
            "  1 missing: position-1 time 0",
        ]
    );
}

#[test]
fn stems_are_the_same_without_zeros_case_and_what_tools_append() {
    let same = |a: &str, b: &str| plain(&stem(Path::new(a))) == plain(&stem(Path::new(b)));
    assert!(same("t1.png", "T01_cp_masks.png") && same("a-1.ome.tif", "a_001_mask.tif"));
    assert!(!same("t1.png", "t10.png") && !same("t1.1.tif", "t11.tif"));
    assert_eq!(stem(Path::new("_mask.tif")), "_mask");
}
