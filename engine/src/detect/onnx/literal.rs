//! Python literals, the format of Ultralytics' metadata: dicts, lists, strings and numbers.

/// A Python value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    /// A string, or anything else without brackets as it is written: a number, `True`, `None`.
    Word(String),
    /// A list, tuple or set.
    List(Vec<Self>),
    /// Keys and values in their order.
    Dict(Vec<(Self, Self)>),
}

/// Maximum nesting depth.
const MAX_DEPTH: usize = 8;

impl Literal {
    /// Parses Python literals and JSON; returns `None` if the text is neither.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut reader = Reader { rest: text.trim() };
        let value = reader.value(MAX_DEPTH)?;
        reader.skip_spaces();
        reader.rest.is_empty().then_some(value)
    }

    /// Returns the text of a word.
    pub(super) fn word(&self) -> Option<&str> {
        if let Self::Word(word) = self { Some(word) } else { None }
    }

    /// Returns the number, if the value is a nonnegative integer.
    pub(super) fn size(&self) -> Option<usize> {
        self.word()?.parse().ok()
    }

    /// Returns the numbers of a list of nonnegative integers.
    pub(super) fn sizes(&self) -> Option<Vec<usize>> {
        if let Self::List(items) = self { items.iter().map(Self::size).collect() } else { None }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, wanted: char) -> bool {
        self.skip_spaces();
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self, depth: usize) -> Option<Literal> {
        let depth = depth.checked_sub(1)?;
        self.skip_spaces();
        match self.rest.chars().next()? {
            '{' => {
                self.take('{');
                self.braces(depth)
            }
            '[' => {
                self.take('[');
                self.items(depth, ']').map(Literal::List)
            }
            '(' => {
                self.take('(');
                self.items(depth, ')').map(Literal::List)
            }
            quote @ ('\'' | '"') => self.text(quote).map(Literal::Word),
            _ => self.word(depth),
        }
    }

    fn items(&mut self, depth: usize, end: char) -> Option<Vec<Literal>> {
        let mut items = Vec::new();
        while !self.take(end) {
            items.push(self.value(depth)?);
            if !self.take(',') && !self.take_last(end) {
                return None;
            }
        }
        Some(items)
    }

    /// Returns true if the closing bracket is next, without consuming it.
    fn take_last(&mut self, end: char) -> bool {
        self.skip_spaces();
        self.rest.starts_with(end)
    }

    fn braces(&mut self, depth: usize) -> Option<Literal> {
        let (mut pairs, mut items) = (Vec::new(), Vec::new());
        while !self.take('}') {
            let key = self.value(depth)?;
            if self.take(':') {
                pairs.push((key, self.value(depth)?));
            } else {
                items.push(key);
            }
            if !self.take(',') && !self.take_last('}') {
                return None;
            }
        }
        match (pairs.is_empty(), items.is_empty()) {
            (_, true) => Some(Literal::Dict(pairs)),
            (true, false) => Some(Literal::List(items)),
            (false, false) => None,
        }
    }

    fn text(&mut self, quote: char) -> Option<String> {
        let mut text = String::new();
        let mut chars = self.rest[quote.len_utf8()..].chars();
        loop {
            match chars.next()? {
                c if c == quote => break,
                '\\' => match chars.next()? {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    letter @ ('x' | 'u' | 'U') => {
                        let n_digits = match letter {
                            'x' => 2,
                            'u' => 4,
                            _ => 8,
                        };
                        let digits: String = chars.by_ref().take(n_digits).collect();
                        text.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                    }
                    other => text.push(other),
                },
                c => text.push(c),
            }
        }
        self.rest = chars.as_str();
        Some(text)
    }

    /// Parses a number or a name. For a call such as `OrderedDict([…])` it returns the argument.
    fn word(&mut self, depth: usize) -> Option<Literal> {
        let end =
            self.rest.find([',', ':', ']', '}', ')', '(', '\'', '"', '{', '[']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        let word = word.trim();
        if word.is_empty() {
            return None;
        }
        self.rest = rest;
        match rest.chars().next() {
            // A string prefix, as in u'text'.
            Some(quote @ ('\'' | '"')) if word.len() <= 2 => self.text(quote).map(Literal::Word),
            Some('(') => {
                self.take('(');
                let mut arguments = self.items(depth, ')')?;
                (arguments.len() == 1).then(|| arguments.remove(0))
            }
            Some('\'' | '"' | '{' | '[') => None,
            _ => Some(Literal::Word(word.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Literal {
        Literal::Word(text.to_owned())
    }

    #[test]
    fn python_and_json_literals_are_parsed() {
        let pairs = |values: &[&str]| {
            let pair = |(i, value): (usize, &&str)| (word(&i.to_string()), word(value));
            Some(Literal::Dict(values.iter().enumerate().map(pair).collect()))
        };
        // repr({0: "a", 1: "it's", 2: 'b"c\'d', 3: 'é\n', 4: '\x07'})
        let printed = r#"{0: 'a', 1: "it's", 2: 'b"c\'d', 3: 'é\n', 4: '\x07'}"#;
        assert_eq!(Literal::read(printed), pairs(&["a", "it's", "b\"c'd", "é\n", "\u{7}"]));
        assert_eq!(Literal::read(r#"{"0": "a", "1": "\u00e9"}"#), pairs(&["a", "é"]));
        assert_eq!(Literal::read("{0: 0, 1: True, 2: u'x',}"), pairs(&["0", "True", "x"]));
        let list = Some(Literal::List(vec![word("a"), word("b c")]));
        for printed in
            ["['a', 'b c']", "('a', 'b c')", "{'a', 'b c'}", "dict_values(['a', 'b c'])", "[a, b c]"]
        {
            assert_eq!(Literal::read(printed), list, "{printed}");
        }
        assert_eq!(Literal::read("[17, 3]").and_then(|list| list.sizes()), Some(vec![17, 3]));
        assert_eq!(Literal::read("{}"), Some(Literal::Dict(Vec::new())));
    }

    #[test]
    fn malformed_literals_are_rejected() {
        for text in ["", "{0: 'a'", "['a' 'b']", "{0: 'a'} x", "'a", "{0: 'a', 'b'}", &"[".repeat(100_000)] {
            assert_eq!(Literal::read(text), None, "{:.20}", text);
        }
    }
}
