//! Objects and lists, made up of what they must hold.

use super::Source;
use super::maker::{Made, Maker, Member};
use crate::probe::service::schema::view::View;
use serde_json::{Value, json};
use std::collections::HashSet;

/// Items made for one list, and properties for one object, at most.
const ITEMS: usize = 64;
const PROPERTIES: usize = 500;

impl<'m> Maker<'m> {
    /// An object with its required properties, and as many others as it must have.
    pub fn object(&mut self, name: &str, view: &View<'m>, depth: usize) -> Made {
        let required = view.required();
        let wanted: HashSet<&str> = required.iter().copied().collect();
        let properties = view.properties();
        let known: HashSet<&str> = properties.iter().map(|(name, _)| *name).collect();
        let mut members: Vec<Member> = Vec::new();
        self.outer.push(name.to_owned());
        for (property, schemas) in &properties {
            let needed = wanted.contains(property);
            let optional = self.manner.optional && !self.leads_back(schemas);
            if !needed && !optional || members.len() >= PROPERTIES || !self.may_go_on() || read_only(schemas) {
                continue;
            }
            self.member(&mut members, property, schemas, needed, depth);
        }
        for property in required.into_iter().filter(|property| !known.contains(property)).take(PROPERTIES) {
            self.member(&mut members, property, &view.further(property), true, depth);
        }
        let dependent: Vec<&str> = view
            .all("dependentRequired")
            .filter_map(Value::as_object)
            .flatten()
            .filter(|(name, _)| members.iter().any(|member| member.name == **name))
            .flat_map(|(_, others)| others.as_array().into_iter().flatten().filter_map(Value::as_str))
            .collect();
        for (property, schemas) in properties.iter().filter(|(name, _)| dependent.contains(name)) {
            if !members.iter().any(|member| member.name == *property) {
                self.member(&mut members, property, schemas, true, depth);
            }
        }
        self.enough(&mut members, view, &properties, depth);
        self.outer.pop();
        Made::object(members)
    }

    /// Adds properties until there are as many as the schema demands.
    fn enough(
        &mut self,
        members: &mut Vec<Member>,
        view: &View<'m>,
        properties: &[(&'m str, Vec<&'m Value>)],
        depth: usize,
    ) {
        let least = (view.least("minProperties") as usize).min(ITEMS);
        for (property, schemas) in properties {
            let there = members.iter().any(|member| member.name == *property);
            if members.len() < least && !there && !read_only(schemas) {
                self.member(members, property, schemas, false, depth);
            }
        }
        for number in 1..=least {
            if members.len() >= least {
                break;
            }
            let free = self.free_name(view, number);
            let further = view.further(&free);
            self.member(members, &free, &further, false, depth);
        }
    }

    /// A name that a property beside the listed ones may have.
    fn free_name(&self, view: &View<'m>, number: usize) -> String {
        let names = view.all("propertyNames").filter_map(|names| names.get("pattern")).filter_map(Value::as_str);
        let keys = view.all("patternProperties").filter_map(Value::as_object).flat_map(|all| all.keys());
        let patterns: Vec<&str> = names.chain(keys.map(String::as_str)).collect();
        let read = patterns.first().and_then(|pattern| crate::probe::service::schema::pattern::Pattern::read(pattern));
        read.and_then(|pattern| pattern.text(number as u32, number)).unwrap_or_else(|| format!("key{number}"))
    }

    fn member(&mut self, members: &mut Vec<Member>, name: &str, schemas: &[&'m Value], required: bool, depth: usize) {
        // What stands inside is part of the value now; kept at every level it would grow with the depth.
        let made = Made { members: Vec::new(), ..self.make(name, schemas, depth - 1, "") };
        members.push(Member { name: name.to_owned(), required, made });
    }

    /// A list of as many items as it must have, one where it may be empty.
    pub fn array(&mut self, name: &str, view: &View<'m>, schemas: &[&'m Value], depth: usize, part: &str) -> Made {
        let singular = name.strip_suffix("[]").unwrap_or(name);
        let singular = match singular.strip_suffix('s') {
            Some(one) if !one.is_empty() && !one.ends_with('s') => one.to_owned(),
            _ => singular.to_owned(),
        };
        let most = view.most("maxItems");
        let least = view.least("minItems").min(most);
        let mut items: Vec<&'m Value> =
            view.all("items").chain(view.all("contains")).filter(|items| !items.is_array()).collect();
        let prefix: Vec<&'m Value> = view
            .all("prefixItems")
            .chain(view.all("items"))
            .filter_map(Value::as_array)
            .next()
            .into_iter()
            .flatten()
            .take(ITEMS)
            .collect();
        items.truncate(8);
        let inside = self.leads_back(&items) || depth <= 2;
        let usual = if inside && least == 0.0 || items.contains(&&Value::Bool(false)) { 0 } else { 1 };
        let count = (least as usize).max(usual).max(prefix.len()).min(ITEMS).min(most.min(1e6) as usize);
        let unique = view.is("uniqueItems");
        let (mut list, mut files, mut source) = (Vec::new(), Vec::new(), Source::Const);
        for index in 0..count {
            let own: Vec<&'m Value> = prefix.get(index).map_or_else(|| items.clone(), |schema| vec![schema]);
            let made = self.make(&singular, &own, depth - 1, part);
            let mut value = made.value;
            if unique && list.contains(&value) {
                match self.another(&own, &value, index, &list) {
                    Some(other) => value = other,
                    None => break,
                }
            }
            source = source.max(made.source);
            files.extend(made.content);
            list.push(value);
            if !self.may_go_on() {
                break;
            }
        }
        let made = Made { files, ..Made::plain(Value::Array(list), source.max(Source::Example)) };
        // A list that need not hold anything is better empty than wrong.
        if least == 0.0 && !self.validator.accepts(schemas, &made.value) {
            let empty = Made::plain(json!([]), Source::Type);
            if self.validator.accepts(schemas, &empty.value) {
                return empty;
            }
        }
        made
    }

    /// A value like the given one that is not in the list yet.
    fn another(&self, schemas: &[&'m Value], value: &Value, index: usize, list: &[Value]) -> Option<Value> {
        let view = View::of(self.root, schemas);
        let listed = view.first("enum").and_then(Value::as_array).into_iter().flatten().cloned();
        let number = index as i64;
        let varied: Vec<Value> = match value {
            Value::Number(old) => {
                let step = view.all("multipleOf").find_map(Value::as_f64).unwrap_or(1.0);
                let moved = |turns: f64| old.as_f64().map(|old| old + step * turns).unwrap_or_default();
                let written = |number: f64| if old.is_f64() { json!(number) } else { json!(number as i64) };
                vec![written(moved(number as f64)), written(moved(-(number as f64)))]
            }
            Value::String(text) => {
                let pattern = view.text("pattern");
                let read =
                    crate::probe::service::schema::pattern::Pattern::read(pattern).filter(|_| !pattern.is_empty());
                let made = (0..8).filter_map(|extra| read.as_ref()?.text(extra, index)).map(Value::from);
                let tail = index.to_string();
                let kept: String = text.chars().take(text.chars().count().saturating_sub(tail.len())).collect();
                made.chain([json!(format!("{text}{tail}")), json!(format!("{kept}{tail}"))]).collect()
            }
            Value::Bool(old) => vec![json!(!old)],
            Value::Object(members) => {
                let vary = |(name, member): (&String, &Value)| {
                    let mut other = members.clone();
                    let tail = match member {
                        Value::String(text) => json!(format!("{text}{number}")),
                        Value::Number(old) => json!(old.as_i64().unwrap_or(0).saturating_add(number)),
                        _ => return None,
                    };
                    other.insert(name.clone(), tail);
                    Some(Value::Object(other))
                };
                members.iter().take(ITEMS).filter_map(vary).collect()
            }
            _ => Vec::new(),
        };
        listed.chain(varied).find(|other| !list.contains(other) && self.validator.accepts(schemas, other))
    }
}

/// Whether a property stands in answers only.
pub fn read_only(schemas: &[&Value]) -> bool {
    schemas.iter().any(|schema| schema.get("readOnly") == Some(&Value::Bool(true)))
}
