//! The protocol's JSON: what is asked and answered over HTTP, with the numbers in it or as bytes after it.

use std::fmt::Write as _;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, SeqAccess, Visitor},
};
use serde_json::json;

use super::{
    super::tensor::{Port, PortKind},
    Metadata,
    array::{Array, datatype, kind},
};

/// A question as a server takes it that reads bytes after the JSON: all of it, and how much of it is JSON.
pub(super) fn question_with_bytes(inputs: &[(&str, &Array)], outputs: &[Port]) -> (Vec<u8>, usize) {
    let input = |(name, array): &(&str, &Array)| {
        json!({"name": name, "shape": array.shape, "datatype": datatype(array.kind),
            "parameters": {"binary_data_size": array.bytes.len()}})
    };
    let output = |port: &Port| json!({"name": port.name, "parameters": {"binary_data": true}});
    let inputs_json: Vec<_> = inputs.iter().map(input).collect();
    let outputs: Vec<_> = outputs.iter().map(output).collect();
    let mut body = json!({"inputs": inputs_json, "outputs": outputs}).to_string().into_bytes();
    let n_json = body.len();
    for (_, array) in inputs {
        body.extend_from_slice(&array.bytes);
    }
    (body, n_json)
}

/// The same with the numbers in the JSON; why not, if one cannot be written.
pub(super) fn question(inputs: &[(&str, &Array)], outputs: &[Port]) -> Result<String, String> {
    let mut text = "{\"inputs\":[".to_owned();
    for (i, (name, array)) in inputs.iter().enumerate() {
        let head = json!({"name": name, "shape": array.shape, "datatype": datatype(array.kind)}).to_string();
        text.push_str(if i > 0 { "," } else { "" });
        text.push_str(head.trim_end_matches('}'));
        text.push_str(",\"data\":[");
        write_numbers(&mut text, array)?;
        text.push_str("]}");
    }
    let outputs: Vec<_> = outputs.iter().map(|port| json!({"name": port.name})).collect();
    text.push_str("],\"outputs\":");
    text.push_str(&json!(outputs).to_string());
    text.push('}');
    Ok(text)
}

fn write_numbers(text: &mut String, array: &Array) -> Result<(), String> {
    let mut n = 0;
    let mut push = |number: &dyn std::fmt::Display| {
        let comma = if n > 0 { "," } else { "" };
        n += 1;
        // A string takes all that is written.
        write!(text, "{comma}{number}").ok();
    };
    match array.kind {
        PortKind::Float => {
            for b in array.bytes.chunks_exact(4) {
                let float = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
                if !float.is_finite() {
                    return Err("a number is infinite, which JSON cannot say".to_owned());
                }
                push(&float);
            }
        }
        PortKind::Byte => array.bytes.iter().for_each(|byte| push(byte)),
        PortKind::Integer => {
            for b in array.bytes.chunks_exact(8) {
                push(&i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]));
            }
        }
        PortKind::Half | PortKind::Other => return Err("JSON cannot say its kind of numbers".to_owned()),
    }
    Ok(())
}

#[derive(Deserialize)]
struct Answer {
    outputs: Vec<Output>,
}

#[derive(Deserialize)]
struct Output {
    name: String,
    shape: Vec<usize>,
    datatype: String,
    parameters: Option<Parameters>,
    data: Option<Numbers>,
}

#[derive(Deserialize)]
struct Parameters {
    binary_data_size: Option<usize>,
}

/// The answer in a body of which the first `n_json` bytes are JSON, or all of it; what is wrong with it otherwise.
pub(super) fn answer(body: &[u8], n_json: Option<usize>) -> Result<Vec<(String, Array)>, String> {
    let (json, mut rest) = match n_json {
        Some(n) => body.split_at_checked(n).ok_or_else(|| {
            format!("it states {n} bytes of JSON, and {} bytes are all that came", body.len())
        })?,
        None => (body, &[][..]),
    };
    let Answer { outputs } = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let mut arrays = Vec::new();
    for Output { name, shape, datatype, parameters, data } in outputs {
        let kind = kind(&datatype);
        let array = match (parameters.and_then(|parameters| parameters.binary_data_size), data) {
            (Some(n), _) => {
                let cut = rest.split_at_checked(n);
                let (bytes, after) =
                    cut.ok_or_else(|| format!("{name} has {n} bytes, and {} are left", rest.len()))?;
                rest = after;
                Array::of(kind, shape, bytes.to_vec())
            }
            (None, Some(Numbers(numbers))) => Array::of_numbers(kind, shape, &numbers),
            (None, None) => Err("it has no numbers".to_owned()),
        };
        arrays.push((name.clone(), array.map_err(|cause| format!("{name}: {cause}"))?));
    }
    if rest.is_empty() { Ok(arrays) } else { Err(format!("{} bytes are nobody's", rest.len())) }
}

/// Numbers in lists in lists, in their order.
struct Numbers(Vec<f64>);

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut numbers = Vec::new();
        Flat(&mut numbers).deserialize(deserializer)?;
        Ok(Self(numbers))
    }
}

struct Flat<'a>(&'a mut Vec<f64>);

impl<'de> DeserializeSeed<'de> for Flat<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Flat<'_> {
    type Value = ();
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("numbers, or lists of them")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Flat(&mut *self.0))?.is_some() {}
        Ok(())
    }
    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.0.push(number);
        Ok(())
    }
    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.0.push(number as f64);
        Ok(())
    }
    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.0.push(number as f64);
        Ok(())
    }
}

/// What a server says of a model.
pub(super) fn metadata(body: &[u8]) -> Result<Metadata, String> {
    #[derive(Deserialize)]
    struct Model {
        #[serde(default)]
        inputs: Vec<Tensor>,
        #[serde(default)]
        outputs: Vec<Tensor>,
    }
    #[derive(Deserialize)]
    struct Tensor {
        name: String,
        datatype: String,
        shape: Vec<i64>,
    }
    let port = |tensor: Tensor| super::port(tensor.name, &tensor.datatype, &tensor.shape);
    let Model { inputs, outputs } = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    Ok(Metadata {
        inputs: inputs.into_iter().map(port).collect(),
        outputs: outputs.into_iter().map(port).collect(),
    })
}

/// Whether a server says that it reads bytes after the JSON.
pub(super) fn takes_bytes(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Server {
        extensions: Vec<String>,
    }
    let server: Option<Server> = serde_json::from_slice(body).ok();
    server.is_some_and(|server| server.extensions.iter().any(|name| name.starts_with("binary_tensor_data")))
}

/// What an answer that is an error says: its `error`, or its `detail`, or all of it.
pub(super) fn error(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let said = json.as_ref().and_then(|json| ["error", "detail"].into_iter().find_map(|key| json.get(key)));
    match said {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::from_utf8_lossy(body).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(values: &[f32]) -> Array {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Array::of(PortKind::Float, vec![values.len()], bytes).unwrap()
    }

    fn port(name: &str) -> Port {
        Port { name: name.to_owned(), shape: vec![None], kind: PortKind::Float }
    }

    /// What a question says of its inputs is what an answer says of its outputs.
    fn echo(json: &str) -> String {
        let mut json: serde_json::Value = serde_json::from_str(json).unwrap();
        let object = json.as_object_mut().unwrap();
        let inputs = object.remove("inputs").unwrap();
        object.insert("outputs".to_owned(), inputs);
        json.to_string()
    }

    fn arrays() -> [Array; 3] {
        let bytes = Array::of(PortKind::Byte, vec![2, 2, 1], vec![0, 1, 127, 255]).unwrap();
        let integers = [i64::MIN >> 12, -1, 1 << 52].iter().flat_map(|v| v.to_le_bytes()).collect();
        let integers = Array::of(PortKind::Integer, vec![3, 1], integers).unwrap();
        [floats(&[0.1, -1e-40, f32::MAX, -0.0, 16_777_217.0, 1.0 / 3.0]), bytes, integers]
    }

    #[test]
    fn numbers_come_back_to_the_last_bit_as_text_and_as_bytes() {
        let arrays = arrays();
        let inputs: Vec<(&str, &Array)> = ["a", "b", "c"].into_iter().zip(&arrays).collect();
        let text = question(&inputs, &[port("y")]).unwrap();
        let came = answer(echo(&text).as_bytes(), None).unwrap();
        let (body, n_json) = question_with_bytes(&inputs, &[port("y")]);
        let mut answered = echo(std::str::from_utf8(&body[..n_json]).unwrap()).into_bytes();
        let n_answered = answered.len();
        answered.extend_from_slice(&body[n_json..]);
        let came_as_bytes = answer(&answered, Some(n_answered)).unwrap();
        for (i, (name, array)) in inputs.iter().enumerate() {
            assert_eq!((came[i].0.as_str(), &came[i].1), (*name, *array));
            assert_eq!((came_as_bytes[i].0.as_str(), &came_as_bytes[i].1), (*name, *array));
        }
        assert!(question(&[("x", &floats(&[f32::NAN]))], &[]).is_err());
    }

    #[test]
    fn numbers_may_lie_in_lists_of_lists() {
        let body = br#"{"outputs":[{"name":"y","shape":[2,2],"datatype":"FP32","data":[[1,2.5],[-3,4e0]]}]}"#;
        let (_, array) = answer(body, None).unwrap().remove(0);
        let wanted = Array { shape: vec![2, 2], ..floats(&[1.0, 2.5, -3.0, 4.0]) };
        assert_eq!(array, wanted);
    }

    #[test]
    fn an_answer_that_lies_is_told() {
        let body = |size: &str, shape: &str| {
            format!(
                r#"{{"outputs":[{{"name":"y","shape":{shape},"datatype":"FP32","parameters":{{"binary_data_size":{size}}}}}]}}"#
            )
        };
        for (json, n_after, wanted) in [
            (body("8", "[2]"), 4, "y has 8 bytes, and 4 are left"),
            (body("8", "[2]"), 9, "1 bytes are nobody's"),
            (body("8", "[3]"), 8, "y: 8 bytes are not [3] of FP32"),
            (body("8", "[4294967296,4294967296]"), 8, "y: 8 bytes are not"),
            (body("-1", "[2]"), 8, "invalid value"),
            (
                r#"{"outputs":[{"name":"y","shape":[1],"datatype":"FP32"}]}"#.to_owned(),
                0,
                "it has no numbers",
            ),
            (
                r#"{"outputs":[{"name":"y","shape":[2],"datatype":"FP32","data":[1]}]}"#.to_owned(),
                0,
                "1 numbers",
            ),
            (
                r#"{"outputs":[{"name":"y","shape":[1],"datatype":"FP32","data":["a"]}]}"#.to_owned(),
                0,
                "invalid type",
            ),
            ("{".to_owned(), 0, "EOF"),
        ] {
            let mut bytes = json.clone().into_bytes();
            bytes.extend(std::iter::repeat_n(0, n_after));
            let error = answer(&bytes, Some(json.len())).unwrap_err();
            assert!(error.contains(wanted), "{json}: {error}");
        }
        let error = answer(b"{}", Some(3)).unwrap_err();
        assert!(error.contains("states 3 bytes of JSON"), "{error}");
    }

    #[test]
    fn errors_are_found_in_bodies() {
        assert_eq!(error(br#"{"error":"no such model"}"#), "no such model");
        assert_eq!(error(br#"{"detail":[1]}"#), "[1]");
        assert_eq!(error(b"<html>"), "<html>");
        assert!(takes_bytes(br#"{"name":"triton","extensions":["a","binary_tensor_data"]}"#));
        assert!(!takes_bytes(b"{}") && !takes_bytes(br#"{"extensions":[]}"#));
    }
}
