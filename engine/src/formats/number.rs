//! Numbers as label files write them: `0`, `1.0`, `1.0e+00`, `.5`, `+3`.

use serde_json::Value;

/// Parses a finite number.
pub(super) fn float(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// Parses a whole number, which may be written as a float.
pub(super) fn whole(text: &str) -> Option<i64> {
    let text = text.trim();
    text.parse().ok().or_else(|| whole_float(float(text)?))
}

/// Returns a JSON number, or a text that is one, if it is finite.
pub(super) fn json_float(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => float(text),
        _ => value.as_f64(),
    }
}

/// Returns a JSON number, or a text that is one, if it is whole.
pub(super) fn json_whole(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => whole(text),
        _ => value.as_i64().or_else(|| whole_float(value.as_f64()?)),
    }
}

/// Floats beyond this are not exact as whole numbers.
const EXACT: f64 = 9e15;

fn whole_float(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < EXACT).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_numbers_may_be_written_as_floats() {
        for (text, want) in [
            ("1", Some(1)),
            ("1.0", Some(1)),
            ("1.0e+00", Some(1)),
            (" +12 ", Some(12)),
            ("-3.", Some(-3)),
            ("1.5", None),
            ("nan", None),
            ("inf", None),
            ("1e300", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(whole(text), want, "{text}");
            assert_eq!(json_whole(&json!(text)), want, "{text}");
        }
        assert_eq!(json_whole(&json!(2.0)), Some(2));
        assert_eq!(json_whole(&json!(null)), None);
        assert_eq!(json_float(&json!("5e-1")), Some(0.5));
    }
}
