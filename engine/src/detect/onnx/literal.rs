//! Values as Python prints them, which is how Ultralytics writes metadata: dicts, lists, texts and numbers.

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    /// A text, or anything else without brackets as it is written: a number, `True`, `None`.
    Word(String),
    /// A list, tuple or set.
    List(Vec<Self>),
    /// Keys and values in their order.
    Dict(Vec<(Self, Self)>),
}

/// Values in values.
const MAX_DEPTH: usize = 8;

impl Literal {
    /// Reads Python's literals and JSON; none if the text is neither.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut reader = Reader { rest: text.trim() };
        let value = reader.value(MAX_DEPTH)?;
        reader.skip_spaces();
        reader.rest.is_empty().then_some(value)
    }

    /// The word, if it is one.
    pub(super) fn word(&self) -> Option<&str> {
        if let Self::Word(word) = self { Some(word) } else { None }
    }

    /// The number, if it is one from 0 on.
    pub(super) fn size(&self) -> Option<usize> {
        self.word()?.parse().ok()
    }

    /// The numbers of a list.
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

    /// True if a bracket is next, which stays.
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

    /// A number or a name; of a call such as `OrderedDict([…])` its argument.
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
            // A prefix, as in u'text'.
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
    fn dicts_and_lists_are_read_as_python_prints_them() {
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
    fn other_texts_are_none() {
        for text in ["", "{0: 'a'", "['a' 'b']", "{0: 'a'} x", "'a", "{0: 'a', 'b'}", &"[".repeat(100_000)] {
            assert_eq!(Literal::read(text), None, "{:.20}", text);
        }
    }
}
