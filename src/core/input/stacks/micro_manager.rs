//! Stacks of Micro-Manager 1.4 and 2 (MMStack) and of Pycro-Manager (NDTiff): JSON with every page.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::{InFile, Layout, contradiction, unnamed};
use crate::error::DataError;
use crate::input::listing::Scale;
use crate::input::tiff::stack::Stack;
use crate::input::timeline::median_step;
use crate::input::units::positive;

/// What the JSON of a page says of it.
#[derive(Clone, Debug)]
struct About {
    channel: String,
    position: String,
    z: i64,
    t: i64,
    elapsed_ms: Option<f64>,
}

/// Returns what the pages of a Micro-Manager file show; `None` for other files.
pub(super) fn layout(path: &Path, stack: &Stack) -> Result<Option<Layout>, DataError> {
    if stack.micro_manager.is_empty() {
        return Ok(None);
    }
    let mut abouts = Vec::with_capacity(stack.pages.len());
    let mut pixel_size_um = None;
    for (page, text) in stack.micro_manager.iter().enumerate() {
        let json: Value = serde_json::from_str(text).map_err(|e| {
            contradiction(
                path,
                format!("the metadata of page {page} is no JSON ({e})"),
                "Micro-Manager's JSON".into(),
            )
        })?;
        // Micro-Manager 2 writes properties as objects around their values.
        let of = |key: &str| match &json[key] {
            Value::Object(object) => object.get("PropVal").cloned().unwrap_or(Value::Null),
            value => value.clone(),
        };
        let index = |key: &str| of(key).as_i64();
        let axis = |key: &str| &json["Axes"][key];
        let number = |key: &str, other: &str| axis(key).as_i64().or_else(|| index(other)).unwrap_or(0);
        let named =
            of("Channel").as_str().map(str::to_owned).filter(|name| !name.is_empty() && name != "Default");
        let channel = match axis("channel") {
            Value::String(name) => name.clone(),
            Value::Number(n) => named.unwrap_or_else(|| format!("channel-{n}")),
            _ => named.unwrap_or_else(|| unnamed(index("ChannelIndex").unwrap_or(0).max(0) as usize)),
        };
        let position = match axis("position") {
            Value::String(name) => name.clone(),
            Value::Number(n) => format!("position-{n}"),
            _ => match of("PositionName") {
                Value::String(name) => name,
                _ => format!("position-{}", index("PositionIndex").unwrap_or(0)),
            },
        };
        if pixel_size_um.is_none() {
            // 1 is what is written where no calibration was made.
            let size = of("PixelSizeUm").as_f64().or_else(|| of("PixelSize_um").as_f64());
            pixel_size_um = size.and_then(positive).filter(|um| (um - 1.0).abs() > 1e-9);
        }
        let (z, t) = (number("z", "SliceIndex"), number("time", "FrameIndex"));
        abouts.push(About { channel, position, z, t, elapsed_ms: of("ElapsedTime-ms").as_f64() });
    }
    let mut channels: Vec<String> = Vec::new();
    for about in &abouts {
        if !channels.contains(&about.channel) {
            channels.push(about.channel.clone());
        }
    }
    let several = |of: fn(&About) -> String| abouts.iter().map(of).collect::<BTreeSet<_>>().len() > 1;
    let [positions, depths, times] =
        [several(|a| a.position.clone()), several(|a| a.z.to_string()), several(|a| a.t.to_string())];
    let file: Arc<Path> = path.into();
    let planes = stack.pages.iter().zip(&abouts).enumerate().map(|(number, (page, about))| InFile {
        file: file.clone(),
        page: *page,
        number,
        pages: stack.pages.len(),
        series: positions.then(|| about.position.clone()),
        channel: Some(about.channel.clone()),
        z: depths.then_some(about.z),
        t: times.then_some(about.t),
        clock_ms: about.elapsed_ms.map(|ms| ms.round() as i64),
    });
    Ok(Some(Layout {
        what: "Micro-Manager stack",
        planes: planes.collect(),
        channels,
        colors: BTreeMap::new(),
        scale: Scale { pixel_size_um, frame_interval_s: interval(&abouts) },
        notes: Vec::new(),
        warnings: Vec::new(),
    }))
}

/// Returns the median time between frames of the first channel and position, in seconds.
fn interval(abouts: &[About]) -> Option<f64> {
    let first = abouts.first()?;
    let mut times: BTreeMap<i64, f64> = BTreeMap::new();
    let same = |a: &&About| a.channel == first.channel && a.position == first.position && a.z == first.z;
    for about in abouts.iter().filter(same) {
        times.insert(about.t, about.elapsed_ms? / 1000.0);
    }
    median_step(&times)
}
