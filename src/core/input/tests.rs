//! Files that other people's programs wrote, read: sums, names and sizes are those that tifffile and zarr-python tell.
//!
//! The samples are no part of the project. `LAPSEGAN_FORMATS_DIR` says where they lie; without them the tests are passed
//! over, and say so.

use std::path::PathBuf;

use super::folder::Reading;
use super::image_file::Pixels;
use super::listing::Listing;
use super::stacks::Pages;

/// Returns the folder of a sample; `None` where there are no samples.
fn sample(path: &str) -> Option<PathBuf> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/formats");
    let folder = std::env::var_os("LAPSEGAN_FORMATS_DIR").map_or_else(|| PathBuf::from(root), PathBuf::from);
    let found = folder.join(path);
    if !found.exists() {
        #[allow(clippy::print_stderr, reason = "a test says that it was passed over")]
        {
            eprintln!("passed over: {} is not there (LAPSEGAN_FORMATS_DIR)", found.display());
        }
        return None;
    }
    Some(found)
}

/// Returns the listing of a sample.
fn open(path: &str) -> Option<Listing> {
    Some(super::open(&sample(path)?, &Reading::default()).unwrap())
}

/// Returns the sum of all pixels of a channel.
fn sum(listing: &Listing, channel: Option<&str>) -> f64 {
    let planes = listing.planes.iter().filter(|p| p.channel.as_deref() == channel);
    planes
        .map(|plane| match plane.at.read().unwrap().pixels {
            Pixels::Bits8(v) => v.iter().map(|v| f64::from(*v)).sum::<f64>(),
            Pixels::Bits16(v) => v.iter().map(|v| f64::from(*v)).sum(),
            Pixels::Wide(v) => v.iter().map(|v| *v as f64).sum(),
            Pixels::Float(v) => v.iter().map(|v| f64::from(*v)).sum(),
        })
        .sum()
}

/// Returns the number of times, channels and focal planes.
fn shape(listing: &Listing) -> (usize, usize, usize) {
    let mut times: Vec<_> = listing.planes.iter().map(|p| p.time).collect();
    times.sort_unstable();
    times.dedup();
    (times.len(), listing.channel_names().len().max(1), listing.depths().len().max(1))
}

#[test]
fn bioformats_ome_tiff_and_its_zarr_show_the_same() {
    for path in [
        "bioformats2raw-viv/bioformats-zarr/data.zarr",
        "ome-tiff-viv-fixture/multi-channel.ome.tif",
        "ome-tiff-viv-single/multi-channel.ome.tif",
    ] {
        let Some(listing) = open(path) else { return };
        assert_eq!(shape(&listing), (1, 3, 1), "{path}");
        let sums = ["channel-0", "channel-1", "channel-2"].map(|c| sum(&listing, Some(c)));
        assert_eq!(sums, [3_481_959.0, 3_481_738.0, 3_481_626.0], "{path}");
    }
}

#[test]
fn a_set_of_ome_tiff_files_is_one_image_from_whatever_file_it_is_opened() {
    for path in ["ome-tiff-viv-multifile", "ome-tiff-viv-multifile/multifile-Z3.ome.tiff"] {
        let Some(listing) = open(path) else { return };
        assert_eq!(shape(&listing), (1, 1, 5), "{path}");
        let sums: Vec<f64> = (0..5)
            .map(|z| {
                let mut one = listing.clone();
                one.planes.retain(|p| p.z == Some(z));
                sum(&one, None)
            })
            .collect();
        assert_eq!(sums, [94_605.0, 16_575.0, 93_330.0, 17_136.0, 92_820.0], "{path}");
    }
}

#[test]
fn micro_manager_tells_channels_and_times() {
    let Some(listing) = open("ndtiff-mm-12bit/12_bit_pycromanager_mda") else { return };
    assert_eq!((shape(&listing), listing.channel_names()), ((4, 2, 1), vec!["DAPI".into(), "FITC".into()]));
    assert_eq!(["DAPI", "FITC"].map(|c| sum(&listing, Some(c))), [3_345_856.0; 2]);
    let Some(listing) = open("ndtiff-mm-v3-test/ndtiffv3.0_test") else { return };
    assert_eq!((shape(&listing), listing.channel_names()), ((5, 2, 1), vec!["DAPI".into(), "FITC".into()]));
    assert_eq!(["DAPI", "FITC"].map(|c| sum(&listing, Some(c))), [16_774_080.0; 2]);
}

#[test]
fn slices_of_fiji_are_focal_planes_unless_it_is_said() {
    let path = "imagej-tiff-fiji-skeleton/_blobs_3d_fiji_skeleton.tif";
    let Some(listing) = open(path) else { return };
    assert_eq!((shape(&listing), sum(&listing, None)), ((1, 1, 30), 1_020_765.0));
    let reading = Reading { pages: Some(Pages::T), ..Reading::default() };
    let listing = super::open(&sample(path).unwrap(), &reading).unwrap();
    assert_eq!((shape(&listing), listing.depths().len()), ((30, 1, 1), 0));
}

#[test]
fn ome_zarr_of_other_programs_is_read() {
    let Some(listing) = open("ome-zarr-04-labels-ngio-tcyx/test_image_tcyx.zarr") else { return };
    assert_eq!(
        (shape(&listing), listing.channel_names()),
        ((4, 2, 1), vec!["channel1".into(), "channel2".into()])
    );
    assert_eq!((listing.scale.pixel_size_um, listing.scale.frame_interval_s), (Some(0.5), Some(4.0)));
    assert_eq!(listing.label_names(), ["label"]);
    assert_eq!(shape(&listing.labels["label"]), (4, 1, 1));
    let Some(listing) = open("ome-zarr-04-labels-ngio-czyx/test_image_czyx.zarr") else { return };
    assert_eq!(shape(&listing), (1, 2, 3));
    let Some(listing) = open("ome-zarr-04-plate-models/hcs_example.ome.zarr") else { return };
    assert_eq!((shape(&listing), listing.scale.pixel_size_um), ((1, 1, 2), Some(0.1625)));
    assert_eq!(listing.planes[0].position.as_deref(), Some("B_03"));
    for path in
        ["ome-zarr-04-viv-blobs/blobs_image_v04.ome.zarr", "ome-zarr-05-viv-blobs/blobs_image_v05.ome.zarr"]
    {
        let Some(listing) = open(path) else { return };
        let sums = ["channel-0", "channel-1", "channel-2"].map(|c| sum(&listing, Some(c)));
        for (sum, expected) in sums.into_iter().zip([77.0, 80.0, 77.000_147_173_147_61]) {
            assert!((sum - expected).abs() < 1e-4, "{path}: {sums:?}");
        }
    }
}

#[test]
fn folders_of_frames_and_results_of_the_challenge_are_read() {
    let Some(listing) = open("ctc-res-traccuracy/Fluo-N2DL-HeLa/01_RES") else { return };
    assert_eq!((shape(&listing), sum(&listing, None)), ((70, 1, 1), 370_092_995.0));
    assert_eq!(listing.parents.values().map(std::collections::BTreeMap::len).sum::<usize>(), 220);
    let Some(listing) = open("tiff-series-microfilm/test_tifseries_good") else { return };
    assert_eq!(shape(&listing), (6, 2, 1));
    let first = 99_649_762.0 + 96_891_110.0 + 96_520_199.0 + 96_279_207.0 + 94_983_855.0 + 94_978_231.0;
    assert_eq!(sum(&listing, Some("channel1")), first);
    let Some(listing) = open("tiff-viv-channel-files/multi-tiff") else { return };
    let sums = ["channel-0", "channel-1", "channel-2"].map(|c| sum(&listing, Some(c)));
    assert_eq!(sums, [4_153_447.0, 4_154_250.0, 4_154_650.0]);
    let Some(listing) = open("tiff-molyso-frame") else { return };
    assert_eq!(sum(&listing, None), 10_867_912.0);
}
