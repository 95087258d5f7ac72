//! What servers want to be told of a model, in their own files.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::nn::{Checkpoint, CheckpointError, Graph, Port, PortKind, remote};

/// A part of a model as a server knows it.
pub(super) struct Part {
    /// What the server calls it, and its folder.
    pub name: String,
    /// What it is.
    role: String,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
}

/// Runs an ONNX file in MLServer, which cannot by itself.
const MLSERVER: &str = include_str!("../../../../assets/serve/segue_mlserver.py");
const GUIDE: &str = include_str!("../../../../assets/serve/README.md");

impl Part {
    /// The part that a graph is with these weights.
    pub(super) fn of(graph: &Graph, checkpoint: &Checkpoint) -> Result<Self, CheckpointError> {
        let (inputs, outputs) = (graph.inputs(), graph.outputs());
        Ok(Self { name: graph.packed_name(checkpoint)?, role: graph.name().to_owned(), inputs, outputs })
    }

    /// Files beside its versions: name and text each.
    pub(super) fn files(&self) -> [(&'static str, String); 3] {
        [
            ("config.pbtxt", self.triton()),
            ("model-settings.json", self.mlserver()),
            ("segue_mlserver.py", MLSERVER.to_owned()),
        ]
    }

    fn triton(&self) -> String {
        let mut text = format!("name: \"{}\"\nbackend: \"onnxruntime\"\nmax_batch_size: 0\n", self.name);
        for (list, ports) in [("input", &self.inputs), ("output", &self.outputs)] {
            let port = |port: &Port| {
                let kind = match port.kind {
                    PortKind::Float => "TYPE_FP32",
                    PortKind::Half => "TYPE_FP16",
                    PortKind::Byte => "TYPE_UINT8",
                    PortKind::Integer => "TYPE_INT64",
                    PortKind::Other => "TYPE_INVALID",
                };
                let dims: Vec<String> = shape(port).iter().map(i64::to_string).collect();
                format!("  {{ name: \"{}\" data_type: {kind} dims: [ {} ] }}", port.name, dims.join(", "))
            };
            let ports = ports.iter().map(port).collect::<Vec<_>>().join(",\n");
            // A string takes all that is written.
            write!(text, "{list} [\n{ports}\n]\n").ok();
        }
        text
    }

    fn mlserver(&self) -> String {
        let port = |port: &Port| json!({"name": port.name, "datatype": remote::datatype(port.kind), "shape": shape(port)});
        let settings = json!({
            "name": self.name,
            "platform": "onnxruntime_onnx",
            "implementation": "segue_mlserver.OnnxModel",
            "inputs": self.inputs.iter().map(port).collect::<Vec<_>>(),
            "outputs": self.outputs.iter().map(port).collect::<Vec<_>>(),
            "parameters": {"uri": "./1/model.onnx", "version": "1"},
        });
        format!("{settings:#}\n")
    }
}

/// As servers write it: -1 where it is only known when it runs.
fn shape(port: &Port) -> Vec<i64> {
    port.shape.iter().map(|dim| dim.map_or(-1, |n| n as i64)).collect()
}

/// The model and its parts.
pub(super) fn list(model: &str, parts: &[Part]) -> Value {
    let part = |part: &Part| json!({"name": part.name, "part": part.role});
    json!({"model": model, "parts": parts.iter().map(part).collect::<Vec<_>>()})
}

/// Files beside the parts: name and text each.
pub(super) fn files(parts: &[Part]) -> [(&'static str, String); 3] {
    let part =
        |part: &Part| json!({"config": {"name": part.name, "base_path": format!("/models/{}", part.name)}});
    let openvino = json!({"model_config_list": parts.iter().map(part).collect::<Vec<_>>()});
    // MLServer's own limit of a message is less than one image's features; one process holds each model once.
    let mlserver = json!({"parallel_workers": 0, "grpc_max_message_length": 1_i64 << 30});
    [
        ("README.md", GUIDE.to_owned()),
        ("openvino.json", format!("{openvino:#}\n")),
        ("settings.json", format!("{mlserver:#}\n")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_shapes_and_kinds() {
        let port = |name: &str, shape: &[Option<usize>], kind| Port {
            name: name.to_owned(),
            shape: shape.to_vec(),
            kind,
        };
        let part = Part {
            name: "segue_part_0".to_owned(),
            role: "part".to_owned(),
            inputs: vec![port("x", &[None, Some(3)], PortKind::Byte), port("t", &[Some(1)], PortKind::Float)],
            outputs: vec![port("y", &[Some(7)], PortKind::Float)],
        };
        assert_eq!(
            part.triton(),
            "name: \"segue_part_0\"\nbackend: \"onnxruntime\"\nmax_batch_size: 0\n\
             input [\n  { name: \"x\" data_type: TYPE_UINT8 dims: [ -1, 3 ] },\n  \
             { name: \"t\" data_type: TYPE_FP32 dims: [ 1 ] }\n]\n\
             output [\n  { name: \"y\" data_type: TYPE_FP32 dims: [ 7 ] }\n]\n"
        );
        let settings: serde_json::Value = serde_json::from_str(&part.mlserver()).unwrap();
        assert_eq!(settings["inputs"][0], json!({"name": "x", "datatype": "UINT8", "shape": [-1, 3]}));
    }
}
