//! XML as labels have it: small elements, some of them very many.

use std::io::{self, BufRead, Write};

use quick_xml::{
    Reader, Writer,
    escape::{escape, unescape},
    events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event, attributes::Attribute},
};

use super::number;

/// Deeper than any honest file.
const DEEPEST: usize = 32;

/// An element with all that is in it.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    attributes: Vec<(String, String)>,
    pub(super) children: Vec<Self>,
    pub(super) text: String,
}

impl Element {
    /// An attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(own, _)| own == name).map(|(_, value)| &**value)
    }

    /// An attribute that is a finite number, or a sentence.
    pub(super) fn number(&self, name: &str) -> Result<f64, String> {
        let text = self.attribute(name).ok_or_else(|| format!("it has no {name}"))?;
        number::float(text).ok_or_else(|| format!("its {name} is not a number: {text}"))
    }

    /// An attribute that is a number and may be missing.
    pub(super) fn number_or(&self, name: &str, default: f64) -> Result<f64, String> {
        if self.attribute(name).is_some() { self.number(name) } else { Ok(default) }
    }

    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of a child.
    pub(super) fn told(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim())
    }

    /// The children of a name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

/// Gives each element at a depth (0: the outermost one) with all that is in it, one after the other. Names are without
/// prefixes of namespaces.
///
/// # Errors
/// If the input cannot be read, or, as [`io::ErrorKind::InvalidData`], if it is damaged; what comes before is given.
pub(super) fn elements(
    input: impl BufRead,
    depth: usize,
    found: &mut dyn FnMut(Element) -> io::Result<()>,
) -> io::Result<()> {
    read(input, depth, &mut Vec::new(), found)
}

/// Reads the outermost element as far as the input is not damaged: the second value says why it is not read to its end. Of
/// the elements in it, only those that are complete are kept.
///
/// # Errors
/// If the input cannot be read, or is damaged before an element begins.
pub(super) fn root(input: impl BufRead) -> io::Result<(Option<Element>, Option<io::Error>)> {
    let (mut root, mut begun) = (None, Vec::new());
    let read = read(input, 0, &mut begun, &mut |element| {
        root.get_or_insert(element);
        Ok(())
    });
    match read {
        Ok(()) => Ok((root, None)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            match root.or_else(|| begun.into_iter().next()) {
                Some(root) => Ok((Some(root), Some(error))),
                None => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// Reads elements; see [`elements`]. What has begun and not ended is in `begun` afterwards.
fn read(
    input: impl BufRead,
    depth: usize,
    begun: &mut Vec<Element>,
    found: &mut dyn FnMut(Element) -> io::Result<()>,
) -> io::Result<()> {
    let mut reader = Reader::from_reader(input);
    reader.config_mut().allow_dangling_amp = true;
    let mut buffer = Vec::new();
    // The number of elements around.
    let mut around = 0_usize;
    loop {
        let at = reader.buffer_position();
        let damaged = |why: &dyn std::fmt::Display| {
            io::Error::new(io::ErrorKind::InvalidData, format!("its XML is damaged at byte {at}: {why}"))
        };
        let event = reader.read_event_into(&mut buffer).map_err(|error| match error {
            quick_xml::Error::Io(error) => {
                let text = error.to_string();
                std::sync::Arc::try_unwrap(error).unwrap_or_else(|error| io::Error::new(error.kind(), text))
            }
            error => damaged(&error),
        })?;
        match event {
            Event::Start(_) if around + begun.len() >= DEEPEST => {
                return Err(damaged(&"elements lie in each other without end"));
            }
            Event::Start(_) if around < depth => around += 1,
            Event::Start(start) => begun.push(element(&start).map_err(|why| damaged(&why))?),
            Event::Empty(start) if around == depth => {
                let element = element(&start).map_err(|why| damaged(&why))?;
                match begun.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => found(element)?,
                }
            }
            Event::Text(text) => {
                if let Some(element) = begun.last_mut() {
                    element.text.push_str(&text.decode().map_err(|error| damaged(&error))?);
                }
            }
            Event::CData(text) => {
                if let Some(element) = begun.last_mut() {
                    element.text.push_str(&text.decode().map_err(|error| damaged(&error))?);
                }
            }
            Event::GeneralRef(name) => {
                if let Some(element) = begun.last_mut() {
                    let name = name.decode().map_err(|error| damaged(&error))?;
                    element.text.push_str(&unescaped(&format!("&{name};")));
                }
            }
            Event::End(_) => match begun.pop() {
                None => around = around.saturating_sub(1),
                Some(element) => match begun.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => found(element)?,
                },
            },
            Event::Eof if begun.is_empty() && around == 0 => return Ok(()),
            Event::Eof => return Err(damaged(&"it ends too early")),
            _ => {}
        }
        buffer.clear();
    }
}

fn element(start: &BytesStart<'_>) -> Result<Element, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let attribute = |attribute: Result<Attribute<'_>, _>| -> Result<(String, String), String> {
        let attribute =
            attribute.map_err(|error: quick_xml::events::attributes::AttrError| error.to_string())?;
        Ok((text(attribute.key.as_ref()), unescaped(&String::from_utf8_lossy(&attribute.value))))
    };
    let attributes = start.attributes().with_checks(false).map(attribute).collect::<Result<_, String>>()?;
    Ok(Element { name: text(start.local_name().as_ref()), attributes, ..Element::default() })
}

/// Replaces entities by what they stand for. Text that people wrote by hand has `&` that begin none.
fn unescaped(text: &str) -> String {
    unescape(text).map_or_else(|_| text.to_owned(), std::borrow::Cow::into_owned)
}

/// Writes elements, indented.
pub(super) struct Xml<W: Write>(Writer<W>);

impl<W: Write> Xml<W> {
    pub(super) fn begin(out: W) -> io::Result<Self> {
        let mut writer = Writer::new_with_indent(out, b' ', 2);
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("utf-8"), None)))?;
        Ok(Self(writer))
    }

    pub(super) fn open(&mut self, name: &str, attributes: &[(&str, String)]) -> io::Result<()> {
        self.0.write_event(Event::Start(start(name, attributes)))
    }

    pub(super) fn close(&mut self, name: &str) -> io::Result<()> {
        self.0.write_event(Event::End(BytesEnd::new(name)))
    }

    pub(super) fn empty(&mut self, name: &str, attributes: &[(&str, String)]) -> io::Result<()> {
        self.0.write_event(Event::Empty(start(name, attributes)))
    }

    /// An element with nothing but a text in it.
    pub(super) fn text(&mut self, name: &str, attributes: &[(&str, String)], text: &str) -> io::Result<()> {
        self.open(name, attributes)?;
        self.0.write_event(Event::Text(BytesText::from_escaped(escaped(text))))?;
        self.close(name)
    }

    pub(super) fn end(self) -> io::Result<()> {
        let mut out = self.0.into_inner();
        writeln!(out)
    }
}

fn start<'a>(name: &'a str, attributes: &[(&str, String)]) -> BytesStart<'a> {
    let mut start = BytesStart::new(name);
    for (name, value) in attributes {
        start.push_attribute((name.as_bytes(), escaped(value).as_bytes()));
    }
    start
}

/// Escapes a text so that it is read again as it is. Characters that XML 1.0 cannot have become U+FFFD.
fn escaped(text: &str) -> String {
    let is_invalid = |c: char| matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    let text = text.replace(is_invalid, "\u{fffd}");
    // Readers turn bare line ends and tabs of attributes into spaces.
    escape(&*text).replace('\r', "&#13;").replace('\n', "&#10;").replace('\t', "&#9;")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_all(text: &str) -> (Vec<Element>, Option<String>) {
        let mut all = Vec::new();
        let read = elements(text.as_bytes(), 1, &mut |element| {
            all.push(element);
            Ok(())
        });
        (all, read.err().map(|error| error.to_string()))
    }

    #[test]
    fn elements_before_damage_are_given() {
        let (all, damage) = read_all("<?xml version='1.0'?><a><b x='1'/><c>R&D &lt;&bad;</c><d></b></a>");
        assert_eq!((all.len(), all[0].attribute("x"), &*all[1].text), (2, Some("1"), "R&D <&bad;"));
        assert!(damage.unwrap().contains("damaged at byte"));
        assert_eq!(read_all("<a><b/>").1.unwrap().split(": ").last(), Some("it ends too early"));
    }

    #[test]
    fn complete_elements_of_a_cut_root_are_kept() {
        let (element, damage) = root("<v:a xmlns:v='x'><v:b>1</v:b><v:c><v:d>2</v:d>".as_bytes()).unwrap();
        let element = element.unwrap();
        assert_eq!((&*element.name, element.told("b"), element.children.len()), ("a", Some("1"), 1));
        assert!(damage.is_some());
        let (element, damage) = root("<a><b/></a>".as_bytes()).unwrap();
        assert!(damage.is_none() && element.unwrap().child("b").is_some());
        assert!(root("<".as_bytes()).is_err());
        assert!(root("".as_bytes()).unwrap().0.is_none());
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_written(name in "\\PC{0,9}", value in "[a&<>'\"\n\t\r ]{0,9}") {
            let mut out = Vec::new();
            let mut xml = Xml::begin(&mut out).unwrap();
            xml.open("a", &[]).unwrap();
            xml.text("b", &[("name", name.clone()), ("value", value.clone())], &value).unwrap();
            xml.close("a").unwrap();
            xml.end().unwrap();
            let (all, damage) = read_all(std::str::from_utf8(&out).unwrap());
            prop_assert_eq!(damage, None);
            prop_assert_eq!(all[0].attribute("name"), Some(&*name.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")));
            prop_assert_eq!(all[0].attribute("value"), Some(&*value));
            prop_assert_eq!(&all[0].text, &value);
        }
    }
}
