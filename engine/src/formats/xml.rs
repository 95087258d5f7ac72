//! XML as labels have it: small elements, some of them very many.

use std::{
    io::{self, BufRead, Write},
    str::FromStr,
};

use quick_xml::{
    Reader, Writer,
    events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event, attributes::Attribute},
};

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

    /// An attribute that is a number, or the sentence that it is none.
    pub(super) fn number<T: FromStr>(&self, name: &str) -> Result<T, String> {
        let value = self.attribute(name).and_then(|value| value.trim().parse().ok());
        value.ok_or_else(|| format!("its {name} is missing or no number"))
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

/// Tells each element of some names, with the line on which it ends, as it comes; what is round them is not held.
pub(super) fn elements(
    input: impl BufRead,
    wanted: &[&str],
    found: &mut dyn FnMut(Element) -> io::Result<()>,
) -> io::Result<()> {
    let mut reader = Reader::from_reader(input);
    let mut buffer = Vec::new();
    // Elements that are begun; the first is a wanted one.
    let mut begun: Vec<Element> = Vec::new();
    loop {
        let at = reader.buffer_position();
        let damaged = |why: &dyn std::fmt::Display| {
            io::Error::new(io::ErrorKind::InvalidData, format!("the XML is damaged at byte {at}: {why}"))
        };
        match reader.read_event_into(&mut buffer).map_err(|error| damaged(&error))? {
            Event::Start(start) => {
                if begun.len() >= DEEPEST {
                    return Err(damaged(&"elements lie in one another without end"));
                }
                let element = element(&start).map_err(|why| damaged(&why))?;
                if !begun.is_empty() || wanted.contains(&&*element.name) {
                    begun.push(element);
                }
            }
            Event::Empty(start) => {
                let element = element(&start).map_err(|why| damaged(&why))?;
                match begun.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None if wanted.contains(&&*element.name) => found(element)?,
                    None => {}
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
                    let text = quick_xml::escape::unescape(&format!("&{name};"))
                        .map_err(|error| damaged(&error))?
                        .into_owned();
                    element.text.push_str(&text);
                }
            }
            Event::End(_) => {
                if let Some(element) = begun.pop() {
                    match begun.last_mut() {
                        Some(parent) => parent.children.push(element),
                        None => found(element)?,
                    }
                }
            }
            Event::Eof if begun.is_empty() => return Ok(()),
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
        let raw = String::from_utf8_lossy(&attribute.value);
        let value = quick_xml::escape::unescape(&raw).map_err(|error| error.to_string())?;
        Ok((text(attribute.key.as_ref()), value.into_owned()))
    };
    let attributes = start.attributes().map(attribute).collect::<Result<_, String>>()?;
    Ok(Element { name: text(start.name().as_ref()), attributes, ..Element::default() })
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
        self.0.write_event(Event::Text(BytesText::new(text)))?;
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
        start.push_attribute((*name, &**value));
    }
    start
}
