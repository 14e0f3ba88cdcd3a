//! Checksums of tar headers, made right: a fuzzer does not find them by itself.

const BLOCK: usize = 512;

/// The archive with every block that stands where a header does made a header.
pub fn sealed(input: &[u8]) -> Vec<u8> {
    let mut archive = input.to_vec();
    let mut at = 0;
    while let Some(block) = archive.get_mut(at..at + BLOCK) {
        at += BLOCK;
        if block.iter().any(|byte| *byte != 0) {
            seal(block);
            at = at.saturating_add(data(block).next_multiple_of(BLOCK));
        }
    }
    archive
}

fn seal(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// How many bytes follow the header. Links, devices and directories have none.
fn data(header: &[u8]) -> usize {
    if (b'1'..=b'6').contains(&header[156]) {
        return 0;
    }
    let field = String::from_utf8_lossy(&header[124..136]);
    let size = u32::from_str_radix(field.trim_matches([' ', '\0']), 8).unwrap_or_default();
    usize::try_from(size).unwrap_or_default()
}
