//! CEL: the only room that names the cel crate.
//!
//! Logic is three-valued. A missing fact makes a term undetermined; `undetermined && false` is false and
//! `undetermined || true` is true, as in Kleene's logic, so an expression has a value exactly when the missing facts
//! cannot change it. What would be a trap, a misspelt path that silently makes a check clear, is caught by `lint`.

mod decisive;

pub use decisive::{Asks, Term};

use cel::common::ast::{Expr, IdedExpr};
use cel::parser::PrattParser;
use cel::{Context, Env, Program, Value as Cel};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

/// A compiled expression.
pub struct Expression {
    root: IdedExpr,
}

/// The values that expressions are evaluated over.
pub struct Values(Context<'static, 'static>);

/// What an expression says.
#[derive(Debug, Clone, PartialEq)]
pub enum Truth {
    /// It is so, whatever is missing.
    True,
    /// It is not so, whatever is missing.
    False,
    /// It depends on something that is missing, or is no truth value; in words.
    Undetermined(String),
}

/// What leaves an expression undetermined: its parts that are undetermined themselves.
#[derive(Debug, PartialEq)]
pub enum Open {
    /// The paths of a part that is not joined of others.
    Paths(BTreeSet<String>),
    /// Parts joined by `&&`: true only if every one is.
    All(Vec<Open>),
    /// Parts joined by `||`.
    Any(Vec<Open>),
}

impl Expression {
    /// Compiles an expression.
    pub fn compile(source: &str) -> Result<Expression, String> {
        // Faster than the parser that is the crate's default, which is asked where this one refuses: its
        // errors are the better ones. Both are for the standard environment, as in `Values`.
        match PrattParser::default().parse(source) {
            Ok(root) => Ok(Expression { root }),
            Err(_) => {
                let program = Program::compile(source).map_err(|error| format!("\"{source}\": {error}"))?;
                Ok(Expression { root: program.expression().clone() })
            }
        }
    }

    /// The paths of facts that it reads, with `[]` for "of any element".
    pub fn paths(&self) -> BTreeSet<String> {
        paths_of(&self.root)
    }

    /// How deep list macros are nested.
    pub fn depth(&self) -> usize {
        let mut depth = 0;
        walk(&self.root, &BTreeMap::new(), &mut BTreeSet::new(), 0, &mut depth);
        depth
    }

    /// Evaluates the expression.
    pub fn evaluate(&self, values: &Values) -> Truth {
        truth(&self.root, values)
    }

    /// What leaves it undetermined. A part that is true or false however the missing facts read is not among it.
    pub fn open(&self, values: &Values) -> Open {
        open(&self.root, values)
    }
}

fn truth(expr: &IdedExpr, values: &Values) -> Truth {
    match Cel::resolve(expr, &values.0) {
        Ok(Cel::Bool(true)) => Truth::True,
        Ok(Cel::Bool(false)) => Truth::False,
        Ok(other) => Truth::Undetermined(format!("the condition gives {other:?}, not true or false")),
        Err(error) => Truth::Undetermined(error.to_string()),
    }
}

fn open(expr: &IdedExpr, values: &Values) -> Open {
    let parts = |args: &[IdedExpr]| {
        let undetermined = args.iter().filter(|part| matches!(truth(part, values), Truth::Undetermined(_)));
        undetermined.map(|part| open(part, values)).collect()
    };
    match &expr.expr {
        Expr::Call(call) if call.func_name == "_&&_" => Open::All(parts(&call.args)),
        Expr::Call(call) if call.func_name == "_||_" => Open::Any(parts(&call.args)),
        _ => Open::Paths(paths_of(expr)),
    }
}

fn paths_of(expr: &IdedExpr) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    walk(expr, &BTreeMap::new(), &mut paths, 0, &mut 0);
    paths
}

impl Values {
    /// Takes the fields of a JSON object as variables.
    pub fn new(object: &Value) -> Values {
        static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));
        let mut context = Context::with_env(ENV.clone());
        for (name, value) in object.as_object().into_iter().flatten() {
            context.add_variable_from_value(name.clone(), to_cel(value));
        }
        Values(context)
    }
}

/// Integers that fit become signed: serde_json's unsigned ones would have no overload with CEL's literals.
fn to_cel(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(truth) => (*truth).into(),
        Value::String(text) => text.as_str().into(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Cel::Int(int),
            (None, Some(unsigned)) => Cel::UInt(unsigned),
            (None, None) => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::Array(items) => items.iter().map(to_cel).collect::<Vec<_>>().into(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), to_cel(value))).collect::<HashMap<String, Cel>>().into()
        }
    }
}

/// Bound variables and the path that each stands for, if it stands for an element of a fact.
type Bound = BTreeMap<String, Option<String>>;

fn walk(expr: &IdedExpr, bound: &Bound, paths: &mut BTreeSet<String>, depth: usize, deepest: &mut usize) {
    *deepest = depth.max(*deepest);
    if let Some(path) = path_of(expr, bound) {
        paths.extend(path);
        return;
    }
    match &expr.expr {
        Expr::Select(select) => walk(&select.operand, bound, paths, depth, deepest),
        Expr::Call(call) => {
            for part in call.target.iter().map(|target| &**target).chain(&call.args) {
                walk(part, bound, paths, depth, deepest);
            }
        }
        Expr::List(list) => list.elements.iter().for_each(|item| walk(item, bound, paths, depth, deepest)),
        Expr::Comprehension(fold) => {
            walk(&fold.iter_range, bound, paths, depth, deepest);
            let element = path_of(&fold.iter_range, bound).flatten().map(|path| format!("{path}[]"));
            let mut inner = bound.clone();
            inner.insert(fold.iter_var.clone(), element);
            inner.insert(fold.accu_var.clone(), None);
            for part in [&fold.loop_cond, &fold.loop_step, &fold.result] {
                walk(part, &inner, paths, depth + 1, deepest);
            }
        }
        _ => {}
    }
}

/// The path that a chain of field selections spells: `Some(None)` for one that starts at a bound variable without path.
fn path_of(expr: &IdedExpr, bound: &Bound) -> Option<Option<String>> {
    match &expr.expr {
        Expr::Ident(name) => Some(match bound.get(name) {
            Some(stands_for) => stands_for.clone(),
            None => Some(name.clone()),
        }),
        Expr::Select(select) => {
            path_of(&select.operand, bound).map(|start| start.map(|start| format!("{start}.{}", select.field)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn truth(source: &str, values: Value) -> Truth {
        Expression::compile(source).unwrap().evaluate(&Values::new(&values))
    }

    #[test]
    fn logic_is_three_valued() {
        let facts = json!({"a": {"yes": true, "no": false, "list": [{"x": 1}, {}]}});
        assert_eq!(truth("a.missing && a.no", facts.clone()), Truth::False);
        assert_eq!(truth("a.no && a.missing", facts.clone()), Truth::False);
        assert_eq!(truth("a.missing || a.yes", facts.clone()), Truth::True);
        assert_eq!(truth("a.list.exists(l, l.x == 1)", facts.clone()), Truth::True);
        for open in ["a.missing", "!a.missing", "a.missing && a.yes", "a.list.exists(l, l.x == 2)", "size(a.gone) == 0"]
        {
            assert!(matches!(truth(open, facts.clone()), Truth::Undetermined(_)), "{open}");
        }
    }

    #[test]
    fn integers_of_json_compare_and_subtract_with_literals() {
        assert_eq!(truth("n.total - n.ok == 2", json!({"n": {"total": 602, "ok": 600}})), Truth::True);
    }

    #[test]
    fn paths_follow_bound_variables_into_lists() {
        let expression =
            Expression::compile("size(nvml.gpus) > 0 && nvml.gpus.all(g, g.name != host.os_name)").unwrap();
        let paths: Vec<String> = expression.paths().into_iter().collect();
        assert_eq!(paths, ["host.os_name", "nvml.gpus", "nvml.gpus[].name"]);
        assert_eq!(expression.depth(), 1);
    }

    #[test]
    fn only_undetermined_parts_leave_it_open() {
        let values = Values::new(&json!({"a": {"yes": true, "no": false}}));
        let open = |source: &str| Expression::compile(source).unwrap().open(&values);
        let paths = |path: &str| Open::Paths(BTreeSet::from([path.to_string()]));
        assert_eq!(open("a.gone || (a.no && b.gone)"), Open::Any(vec![paths("a.gone")]));
        assert_eq!(open("(a.yes || b.gone) && a.gone"), Open::All(vec![paths("a.gone")]));
        let both = Open::All(vec![paths("a.gone"), paths("b.gone")]);
        assert_eq!(open("c.gone || (a.gone && b.gone)"), Open::Any(vec![paths("c.gone"), both]));
    }

    #[test]
    fn a_condition_that_is_no_truth_value_is_undetermined() {
        assert!(matches!(truth("n.total", json!({"n": {"total": 1}})), Truth::Undetermined(_)));
        assert!(Expression::compile("n.total >").is_err());
    }

    /// The fast parser and the crate's own read every condition alike.
    #[test]
    fn both_parsers_agree_on_every_condition() {
        let ids = regex::Regex::new(r"\bid: \d+").unwrap();
        let mut conditions = 0;
        for check in crate::check::Checks::load(None).unwrap().iter() {
            let spec = &check.spec;
            for source in [Some(&spec.when), spec.warn_if.as_ref(), spec.proven_if.as_ref()].into_iter().flatten() {
                let ours = PrattParser::default().parse(source).unwrap();
                // Ids number the nodes in the order of parsing; the rest is the meaning.
                let plain = |expr: &IdedExpr| ids.replace_all(&format!("{expr:?}"), "").into_owned();
                assert_eq!(plain(&ours), plain(Program::compile(source).unwrap().expression()), "{source}");
                conditions += 1;
            }
        }
        assert!(conditions > 150);
    }
}
