//! The syntax in which a person writes queries.

use std::str::FromStr;

/// A wanted category and the phrases to search for.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Category that the detections get.
    pub category: String,
    /// Phrases to search for.
    pub phrases: Vec<String>,
    /// Minimum score, if this category has its own.
    pub threshold: Option<f32>,
}

/// Error for a text that is not a valid query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The text has no category or no phrase.
    #[error(
        "'{0}' names nothing to look for; write a phrase, such as \"forklift\", or \"vehicle = car, truck\""
    )]
    Nothing(String),
    /// The part after the last `@` is not a number from 0 to 1.
    #[error("'{0}' is no threshold; it is a number from 0 to 1, as in \"forklift @0.3\"")]
    Threshold(String),
}

impl Wanted {
    /// Parses a list such as `forklift; vehicle = car, truck @0.3`.
    ///
    /// Semicolons separate categories. A category with a name other than its phrase is written before an equals sign;
    /// commas separate its phrases. A minimum score may follow after `@`.
    ///
    /// # Errors
    /// If a part has no phrase, or its minimum score is not a number from 0 to 1.
    pub fn list(text: &str) -> Result<Vec<Self>, QueryError> {
        let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
        let wanted = parts.map(str::parse).collect::<Result<Vec<Self>, _>>()?;
        if wanted.is_empty() { Err(QueryError::Nothing(text.to_owned())) } else { Ok(wanted) }
    }
}

impl FromStr for Wanted {
    type Err = QueryError;
    fn from_str(part: &str) -> Result<Self, QueryError> {
        let (said, threshold) = match part.rsplit_once('@') {
            None => (part, None),
            Some((said, number)) => {
                let threshold = number.trim().parse().ok().filter(|score| (0.0..=1.0).contains(score));
                (said, Some(threshold.ok_or_else(|| QueryError::Threshold(number.trim().to_owned()))?))
            }
        };
        let (category, phrases) = match said.split_once('=') {
            None => (said.trim(), vec![said.trim().to_owned()]),
            Some((category, phrases)) => {
                let phrases = phrases.split(',').map(str::trim).filter(|phrase| !phrase.is_empty());
                (category.trim(), phrases.map(str::to_owned).collect())
            }
        };
        if category.is_empty() || phrases.is_empty() {
            return Err(QueryError::Nothing(part.to_owned()));
        }
        Ok(Self { category: category.to_owned(), phrases, threshold })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_phrases_and_thresholds_are_parsed() {
        let wanted = Wanted::list("forklift; person without helmet ;vehicle = car, truck,@0.3;").unwrap();
        let all: Vec<_> =
            wanted.iter().map(|w| (w.category.as_str(), w.phrases.join("|"), w.threshold)).collect();
        assert_eq!(
            all,
            [
                ("forklift", "forklift".to_owned(), None),
                ("person without helmet", "person without helmet".to_owned(), None),
                ("vehicle", "car|truck".to_owned(), Some(0.3)),
            ]
        );
    }

    #[test]
    fn empty_queries_and_bad_thresholds_are_rejected() {
        for text in ["", " ; ;", "= car", "vehicle =", "@0.3"] {
            assert!(matches!(Wanted::list(text), Err(QueryError::Nothing(_))), "{text}");
        }
        for text in ["car @", "car @x", "car @2", "car @-1", "car @NaN"] {
            assert!(matches!(Wanted::list(text), Err(QueryError::Threshold(_))), "{text}");
        }
    }
}
