//! `--format`: Go templates over what a command knows, with the functions that Docker adds; or `json`, or `table TEMPLATE`.

use std::collections::HashMap;

use anyhow::{Result, anyhow};
use gtmpl::{Context, FuncError, Template, Value as GoValue};
use serde_json::Value;

use crate::output;

/// What is printed for each thing.
#[derive(Debug)]
pub(crate) enum Format {
    /// The command's own table.
    Table,
    /// A JSON object per line.
    Json,
    /// A template per line.
    Lines(Line),
    /// A template per row: its columns are separated by tabs, and named after their fields.
    Columns(Line),
}

/// A template, and the text that it was made of.
pub(crate) struct Line {
    template: Template,
    text: String,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Line").field(&self.text).finish()
    }
}

impl Format {
    /// Parses what `--format` takes.
    ///
    /// # Errors
    /// When the template cannot be parsed.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self> {
        match text {
            None | Some("table") => Ok(Self::Table),
            Some("json") => Ok(Self::Json),
            Some(text) => match text.strip_prefix("table ") {
                Some(columns) => Ok(Self::Columns(Line::parse(columns)?)),
                None => Ok(Self::Lines(Line::parse(text)?)),
            },
        }
    }

    /// Prints the things, each an object of what can be asked for. `columns` are those of the table: header and field.
    ///
    /// # Errors
    /// When a template cannot be applied.
    pub(crate) fn print(&self, columns: &[(&str, &str)], things: &[Value]) -> Result<()> {
        let field = |thing: &Value, name: &str| {
            thing.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        match self {
            Self::Table => {
                let header: Vec<&str> = columns.iter().map(|(header, _)| *header).collect();
                let row = |thing| columns.iter().map(|(_, name)| field(thing, name)).collect();
                output::line(&output::table(&header, things.iter().map(row).collect()));
            }
            Self::Json => things.iter().for_each(|thing| output::line(&thing.to_string())),
            Self::Lines(line) => {
                for thing in things {
                    output::line(&line.render(thing)?);
                }
            }
            Self::Columns(line) => {
                // Without things, what their table has.
                let named = || columns.iter().map(|(_, name)| ((*name).to_owned(), Value::Null)).collect();
                let first = things.first().and_then(Value::as_object).cloned().unwrap_or_else(named);
                let header_of = |name: &str| {
                    let column = columns.iter().find(|(_, field)| *field == name);
                    column.map_or_else(|| name.to_uppercase(), |(header, _)| (*header).to_owned())
                };
                let names: serde_json::Map<String, Value> =
                    first.keys().map(|name| (name.clone(), header_of(name).into())).collect();
                let header = line.render(&names.into())?;
                let header: Vec<&str> = header.split('\t').collect();
                let mut rows = Vec::new();
                for thing in things {
                    rows.push(line.render(thing)?.split('\t').map(str::to_owned).collect());
                }
                output::line(&output::table(&header, rows));
            }
        }
        Ok(())
    }
}

impl Line {
    /// # Errors
    /// When the template cannot be parsed.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut template = Template::default();
        for (name, function) in FUNCTIONS {
            template.add_func(name, *function);
        }
        // What shells leave of Docker's own examples.
        let unescaped = text.replace("\\t", "\t").replace("\\n", "\n");
        template.parse(unescaped).map_err(|error| anyhow!("template parsing error: {error}"))?;
        Ok(Self { template, text: text.to_owned() })
    }

    /// Applies it.
    ///
    /// # Errors
    /// When it asks for what is not there.
    pub(crate) fn render(&self, thing: &Value) -> Result<String> {
        let context = Context::from(to_go(thing));
        self.template
            .render(&context)
            .map_err(|error| anyhow!("template: {:?}: cannot be executed: {error}", self.text))
    }
}

type Function = fn(&[GoValue]) -> Result<GoValue, FuncError>;

/// Docker's, beside Go's own.
const FUNCTIONS: &[(&str, Function)] = &[
    ("json", json),
    ("lower", |arguments| text(arguments, str::to_lowercase)),
    ("upper", |arguments| text(arguments, str::to_uppercase)),
    ("title", |arguments| text(arguments, title)),
    ("join", join),
    ("split", split),
    ("truncate", truncate),
];

fn json(arguments: &[GoValue]) -> Result<GoValue, FuncError> {
    match arguments {
        [value] => Ok(GoValue::String(from_go(value).to_string())),
        _ => Err(FuncError::ExactlyXArgs("json".to_owned(), 1)),
    }
}

fn text(arguments: &[GoValue], change: impl Fn(&str) -> String) -> Result<GoValue, FuncError> {
    match arguments {
        [GoValue::String(text)] => Ok(GoValue::String(change(text))),
        _ => Err(FuncError::Generic("want one string".to_owned())),
    }
}

fn title(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

fn join(arguments: &[GoValue]) -> Result<GoValue, FuncError> {
    match arguments {
        [GoValue::Array(parts), GoValue::String(separator)] => {
            let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
            Ok(GoValue::String(parts.join(separator)))
        }
        _ => Err(FuncError::Generic("join wants a list and a separator".to_owned())),
    }
}

fn split(arguments: &[GoValue]) -> Result<GoValue, FuncError> {
    match arguments {
        [GoValue::String(text), GoValue::String(separator)] => Ok(GoValue::Array(
            text.split(separator.as_str()).map(|part| GoValue::String(part.to_owned())).collect(),
        )),
        _ => Err(FuncError::Generic("split wants a string and a separator".to_owned())),
    }
}

fn truncate(arguments: &[GoValue]) -> Result<GoValue, FuncError> {
    match arguments {
        [GoValue::String(text), GoValue::Number(length)] => {
            let length =
                length.as_u64().and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX);
            Ok(GoValue::String(text.chars().take(length).collect()))
        }
        _ => Err(FuncError::Generic("truncate wants a string and a length".to_owned())),
    }
}

fn to_go(value: &Value) -> GoValue {
    match value {
        Value::Null => GoValue::Nil,
        Value::Bool(truth) => GoValue::Bool(*truth),
        Value::String(text) => GoValue::String(text.clone()),
        Value::Array(items) => GoValue::Array(items.iter().map(to_go).collect()),
        Value::Object(fields) => {
            let fields: HashMap<String, GoValue> =
                fields.iter().map(|(k, v)| (k.clone(), to_go(v))).collect();
            GoValue::Object(fields)
        }
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => number.into(),
            (_, Some(number), _) => number.into(),
            (_, _, number) => number.unwrap_or_default().into(),
        },
    }
}

fn from_go(value: &GoValue) -> Value {
    match value {
        GoValue::Bool(truth) => (*truth).into(),
        GoValue::String(text) => text.clone().into(),
        GoValue::Array(items) => items.iter().map(from_go).collect(),
        GoValue::Object(fields) | GoValue::Map(fields) => {
            fields.iter().map(|(k, v)| (k.clone(), from_go(v))).collect()
        }
        GoValue::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => number.into(),
            (_, Some(number), _) => number.into(),
            (_, _, number) => number.into(),
        },
        GoValue::NoValue | GoValue::Nil | GoValue::Function(_) => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn render(template: &str) -> Result<String> {
        let thing = json!({
            "Id": "abc", "State": {"Running": true, "ExitCode": -1, "Big": 5_000_000_000_u64},
            "Names": ["a", "b"], "Nothing": null
        });
        Line::parse(template)?.render(&thing)
    }

    #[test]
    fn dockers_common_templates_work() {
        for (template, expected) in [
            ("{{.Id}}", "abc"),
            ("{{ .State.Running }} {{.State.ExitCode}}", "true -1"),
            ("{{.State.Big}}", "5000000000"),
            ("{{json .State}}", r#"{"Big":5000000000,"ExitCode":-1,"Running":true}"#),
            ("{{json .Nothing}}", "null"),
            ("{{range .Names}}<{{.}}>{{end}}", "<a><b>"),
            ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
            ("{{join .Names \",\"}} {{upper .Id}} {{title .Id}}", "a,b ABC Abc"),
            ("{{index .Names 1}} {{len .Names}}", "b 2"),
            ("{{printf \"%s=%d\" .Id .State.ExitCode}}", "abc=-1"),
            ("{{truncate .Id 2}}\\t{{range split \"x-y\" \"-\"}}{{.}}{{end}}", "ab\txy"),
        ] {
            assert_eq!(render(template).unwrap(), expected, "{template}");
        }
    }

    #[test]
    fn bad_templates_are_errors() {
        assert!(render("{{.Id").unwrap_err().to_string().contains("template parsing error"));
        assert!(render("{{nope .Id}}").is_err());
        assert!(render("{{.NoSuchField}}").is_err());
    }
}
