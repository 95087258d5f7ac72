//! A fuzz target: any bytes as the replies of an inference server: `make fuzz`.
//!
//! The first byte says how much of it the server calls JSON.

#![no_main]

mod seeds;

use engine::nn::remote::read_reply;
use libfuzzer_sys::fuzz_target;

const SEEDS: [&[u8]; 4] = [
    br#"0{"name": "v2", "version": "2", "extensions": ["binary_tensor_data"]}"#,
    br#"0{"name": "a", "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, -1]}], "outputs": []}"#,
    br#"0{"outputs": [{"name": "y", "datatype": "FP32", "shape": [2], "data": [1.0, 2.0]}]}"#,
    b"\xf5{\"outputs\": [{\"name\": \"y\", \"datatype\": \"FP32\", \"shape\": [1], \"parameters\": {\"binary_data_size\": 4}}]}\0\0\0\0",
];

fn write_seeds() {
    seeds::write(SEEDS.iter().enumerate().map(|(i, seed)| (i.to_string(), seed.to_vec())));
}

fuzz_target!(init: write_seeds(), |bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    read_reply(bytes, (which % 2 == 1).then(|| bytes.len() * usize::from(*which) / 255));
});
