//! A base image that takes long to fetch and unpack: as large, as many files and as compressible
//! as an image with a compiler.
//!
//! Written as an OCI image layout (image-spec, `image-layout.md`), which skopeo copies into a
//! registry. Nothing in it depends on the machine or the clock.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Scale;
use crate::random::{Random, Stock};

/// How many files there are, and their mean size in bytes.
const FILES: usize = 9_500;
const MEAN: usize = 48_000;
/// Compilers are a few large files: these are this many times as large.
const LARGE: usize = 40;
/// Of 16 pieces of a file this many do not compress: the whole shrinks to some 40 %.
const NOISE: usize = 3;
const PIECE: usize = 4096;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Its name in the registry.
pub fn name(scale: Scale) -> &'static str {
    scale.pick("bench/heavy:1", "bench/heavy:1-smoke")
}

/// Writes it to the folder. `program` is a static one, `/bin/true` of the image.
pub fn write(folder: &Path, scale: Scale, program: &Path) -> io::Result<()> {
    let layout = Layout { blobs: folder.join("blobs/sha256") };
    fs::create_dir_all(&layout.blobs)?;
    fs::write(folder.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let (layer, diff_id) = layout.layer(scale.pick(FILES, 50), &fs::read(program)?)?;
    let config = layout.document(
        CONFIG,
        &json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/true"]},
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "generated files"}],
        }),
    )?;
    let manifest = layout.document(
        MANIFEST,
        &json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer],
        }),
    )?;
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    fs::write(folder.join("index.json"), index.to_string())
}

struct Layout {
    blobs: PathBuf,
}

impl Layout {
    /// The layer's descriptor and diffID.
    fn layer(&self, files: usize, program: &[u8]) -> io::Result<(Value, String)> {
        let path = self.blobs.join("layer");
        let zipped =
            GzEncoder::new(Hashing::new(BufWriter::new(File::create(&path)?)), Compression::new(6));
        let mut tar = tar::Builder::new(Hashing::new(zipped));
        add(&mut tar, "bin/true", 0o755, program)?;
        add(&mut tar, "bin/busybox", 0o755, program)?;
        fill(&mut tar, files)?;
        let (zipped, diff_id) = tar.into_inner()?.finish();
        let (mut file, digest) = zipped.finish()?.finish();
        file.flush()?;
        fs::rename(path, self.blobs.join(&digest))?;
        Ok((self.descriptor(LAYER, &digest)?, format!("sha256:{diff_id}")))
    }

    fn document(&self, media_type: &str, document: &Value) -> io::Result<Value> {
        let bytes = document.to_string();
        let digest = hex(&Sha256::digest(&bytes));
        fs::write(self.blobs.join(&digest), bytes)?;
        self.descriptor(media_type, &digest)
    }

    fn descriptor(&self, media_type: &str, digest: &str) -> io::Result<Value> {
        let size = fs::metadata(self.blobs.join(digest))?.len();
        Ok(json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size}))
    }
}

fn fill(tar: &mut tar::Builder<impl Write>, files: usize) -> io::Result<()> {
    let mut random = Random::new(4);
    let stock = Stock::new(&mut random, 1 << 22);
    let noise = random.noise(1 << 22);
    for n in 0..files {
        let most = if n % 400 == 7 { MEAN * LARGE } else { MEAN * 5 };
        let mean = if n % 400 == 7 { MEAN * LARGE / 2 } else { MEAN };
        let size = random.length(mean, most);
        let mut bytes = Vec::with_capacity(size + PIECE);
        while bytes.len() < size {
            match random.below(16) < NOISE {
                true => {
                    let start = random.below(noise.len() - PIECE);
                    // Turned a little, lest a piece that comes again compresses after all.
                    let turn = random.next().to_le_bytes();
                    bytes.extend(
                        noise[start..start + PIECE]
                            .iter()
                            .zip(turn.iter().cycle())
                            .map(|(a, b)| a ^ b),
                    );
                }
                false => bytes.extend_from_slice(stock.piece(&mut random, PIECE)),
            }
        }
        bytes.truncate(size);
        add(tar, &format!("usr/lib/part{}/folder{}/file{n}", n % 23, n % 500), 0o644, &bytes)?;
    }
    Ok(())
}

fn add(tar: &mut tar::Builder<impl Write>, path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_mode(mode);
    header.set_size(bytes.len() as u64);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    tar.append_data(&mut header, path, bytes)
}

/// Digests what passes through.
struct Hashing<W> {
    inner: W,
    hasher: Sha256,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Hashing<W> {
        Hashing { inner, hasher: Sha256::new() }
    }

    fn finish(self) -> (W, String) {
        (self.inner, hex(&self.hasher.finalize()))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As OCI names it (image-spec, `config.md`, after Go's `GOARCH`).
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
