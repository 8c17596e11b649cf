//! How an output is opened, said at the end of a program.

use std::path::Path;

/// Says how a plate is opened in napari, Fiji and Python.
pub fn plate(path: &Path) {
    let at = path.display();
    tracing::info!("open it: napari --plugin napari-ome-zarr {at}");
    tracing::info!("         python: zarr.open_group('{at}')['A/1/0/0'][:]  (t, c, y, x)");
    tracing::info!("         Fiji, QuPath: prepare export {at} --format ome-tiff --output FOLDER");
}

/// Says where a page is that a browser opens.
pub fn page(path: &Path) {
    tracing::info!("open it in a browser: {}", path.display());
}
