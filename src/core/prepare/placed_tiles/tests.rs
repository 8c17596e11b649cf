//! A moving cell and a trap of two bars: which tiles are placed on them.

use ndarray::Axis;

use super::*;
use crate::input::source::{Extent, Frames, Survey};
use crate::plate::LabelMeta;
use crate::prepare::windows::plan;

/// One position of 64 x 96 pixels: a cell that moves right by two pixels a frame, and a trap of two bars.
struct Movie {
    kind: LabelKind,
    frames: usize,
    draw: fn(usize, &mut Array2<u32>),
}

fn moving_cell(t: usize, plane: &mut Array2<u32>) {
    plane.slice_mut(s![28..36, 20 + 2 * t..28 + 2 * t]).fill(7);
}

fn two_bars(_: usize, plane: &mut Array2<u32>) {
    plane.slice_mut(s![20..40, 40..44]).fill(1);
    plane.slice_mut(s![20..40, 48..52]).fill(2);
    plane[[2, 2]] = 3;
}

impl Source for Movie {
    fn channels(&self) -> Vec<String> {
        vec!["bf".into()]
    }

    fn labels(&self) -> Vec<LabelMeta> {
        vec![LabelMeta { name: "it".into(), kind: self.kind, route: None }]
    }

    #[allow(clippy::single_range_in_vec_init)] // one run of frames
    fn extent(&self) -> Extent {
        Extent { positions: vec![("a".into(), vec![0..self.frames])], size: (64, 96) }
    }

    fn load(&self, _: usize, range: Range<usize>, _: Option<&Survey>) -> Result<Frames, DataError> {
        let planes: Vec<Array2<u32>> = range
            .map(|t| {
                let mut plane = Array2::zeros((64, 96));
                (self.draw)(t, &mut plane);
                plane
            })
            .collect();
        let views: Vec<_> = planes.iter().map(|plane| plane.view()).collect();
        let labels = ndarray::stack(Axis(0), &views).unwrap();
        Ok(Frames { image: ndarray::Array4::zeros((0, 0, 0, 0)), labels: [("it".into(), labels)].into() })
    }

    fn parents(&self, _: usize, _: &str) -> BTreeMap<u32, u32> {
        BTreeMap::new()
    }

    fn describe(&self, _: usize, _: Range<usize>) -> String {
        String::new()
    }
}

fn cut(tiles: Tiles, empty: f64) -> Cut {
    Cut { tiles, empty, block: Some(9), ..Cut::standard(16) }
}

#[test]
fn tiles_go_along_with_an_object_and_a_share_shows_none() {
    let movie = Movie { kind: LabelKind::Objects, frames: 33, draw: moving_cell };
    let plan = plan(&movie, &cut(Tiles::Objects, 0.25)).unwrap();
    let placed = plan.placed.unwrap();
    let shows = |w: &crate::prepare::windows::Window, t: usize| {
        let mut plane = Array2::zeros((64, 96));
        moving_cell(w.first_frame + t, &mut plane);
        let (y, x) = w.corner;
        plane.slice(s![y..y + 16, x..x + 16]).iter().filter(|&&id| id != 0).count()
    };
    let (mut on, mut empty) = (0, 0);
    for w in &plan.windows {
        match (shows(w, 0), shows(w, 1), shows(w, 2)) {
            (0, 0, 0) => empty += 1,
            (_, 64, _) => on += 1,
            other => panic!("{w:?} shows {other:?} pixels of the cell"),
        }
    }
    assert_eq!((placed.on_something, placed.empty), (on, empty));
    // A quarter of each part; parts have few windows each, so that rounding shows.
    assert!(on > 6 && empty == placed.empty_wanted && (empty * 3).abs_diff(on) <= 4, "{on} {empty}");
    let none = super::super::windows::plan(&movie, &cut(Tiles::Objects, 0.0)).unwrap();
    assert_eq!(none.placed.unwrap(), Placed { on_something: on, ..Placed::default() });
}

#[test]
fn pieces_close_together_are_one_trap_and_specks_are_none() {
    let movie = Movie { kind: LabelKind::Structure, frames: 9, draw: two_bars };
    let plan = plan(&movie, &cut(Tiles::Trap, 0.1)).unwrap();
    assert!(plan.windows.iter().all(|w| w.corner == (22, 38)), "{:?}", plan.windows[0]);
    let mut plane = Array2::zeros((64, 96));
    two_bars(0, &mut plane);
    assert_eq!(traps(plane.view(), 3), [(30, 42), (30, 50)]);
    assert_eq!(traps(plane.view(), 4), [(30, 46)]);
}

#[test]
fn frames_without_anything_are_left_out_and_said() {
    let movie = Movie {
        kind: LabelKind::Objects,
        frames: 30,
        draw: |t, plane| {
            if t < 6 {
                moving_cell(t, plane);
            }
        },
    };
    let cut = cut(Tiles::Objects, 0.0);
    let plan = plan(&movie, &cut).unwrap();
    assert!(plan.windows.iter().all(|w| w.first_frame + 1 < 6));
    assert!(plan.dropped.without_tile > 9, "{:?}", plan.dropped);
    let sentence = plan.dropped.sentence(&movie.extent(), &cut).unwrap().0;
    assert!(sentence.contains("show nothing to place a tile on"), "{sentence}");
}

#[test]
fn what_is_needed_is_said() {
    let says = |kind, draw, tiles| {
        let movie = Movie { kind, frames: 9, draw };
        plan(&movie, &cut(tiles, 0.0)).unwrap_err().to_string()
    };
    assert!(says(LabelKind::Structure, two_bars, Tiles::Objects).contains("name them with --labels"));
    assert!(says(LabelKind::Objects, two_bars, Tiles::Trap).contains("--centres FILE"));
    let nothing: fn(usize, &mut Array2<u32>) = |_, _| {};
    assert!(says(LabelKind::Objects, nothing, Tiles::Objects).contains("no object in the training part"));
}

#[test]
fn neighbours_share_a_tile() {
    let tiles = [(0, 0), (3, 3), (0, 4), (10, 10), (13, 8), (4, 0)];
    assert_eq!(apart(tiles.into_iter(), 16), [(0, 0), (0, 4), (10, 10), (4, 0)]);
    assert_eq!(corner((2, 95), 16, (64, 96)), (0, 80));
}

#[test]
fn given_places_are_used_as_they_are() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let movie = Movie { kind: LabelKind::Objects, frames: 3, draw: moving_cell };
    let with = |text: &str| {
        std::fs::write(file.path(), text).unwrap();
        let centres = crate::prepare::centres::Centres::read(file.path(), 1)?;
        plan(&movie, &Cut { centres: Some(centres), ..cut(Tiles::Trap, 0.0) })
    };
    let corners: Vec<_> = with("\u{feff}Position, Y, X\na,30,46.5\na,2,95\n\n").unwrap().windows;
    let corners: Vec<_> = corners.iter().map(|w| w.corner).collect();
    assert_eq!(corners, [(0, 80), (22, 38)]);
    for (text, part) in [
        ("position,y,x\nb,3,3", "line 2: position `b` is not in the recording, expected one of a"),
        ("y,x\n3,96", "line 2: y 3, x 96 lies outside, expected y below 64 and x below 96"),
        ("y,x\n3,-1", "line 2: x is `-1`"),
        ("y;x\n3;1", "line 1 has the columns `y;x`"),
        ("y,x\n", "holds no line of coordinates"),
        ("y,x\n1,2,3\n", "3 fields"),
        ("y,x\n1,NaN\n", "x is `NaN`"),
    ] {
        let error = with(text).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
