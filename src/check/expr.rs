//! CEL: the only room that names the cel crate.
//!
//! Logic is three-valued. A missing fact makes a term undetermined; `undetermined && false` is false and
//! `undetermined || true` is true, as in Kleene's logic, so an expression has a value exactly when the missing facts
//! cannot change it. What would be a trap, a misspelt path that silently makes a check clear, is caught by `lint`.

mod decisive;

pub use decisive::{Asks, Term};

use crate::words::nearest;
use cel::common::ast::{Expr, IdedExpr, LiteralValue};
use cel::parser::PrattParser;
use cel::{Context, Env, ExecutionError, Program, Value as Cel};
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

    /// What is wrong with a text that is no expression: at which character, and what. `None` if it is one.
    pub fn fault(source: &str) -> Option<(usize, String)> {
        let errors = match (Expression::compile(source), Program::compile(source)) {
            (Err(_), Err(errors)) => errors,
            (Err(problem), Ok(_)) => return Some((0, problem)),
            _ => return None,
        };
        let first = errors.errors.into_iter().min_by_key(|error| error.pos)?;
        let (line, column) = (usize::try_from(first.pos.0).unwrap_or(0), usize::try_from(first.pos.1).unwrap_or(0));
        let before = source.split_inclusive('\n').take(line.saturating_sub(1)).map(|line| line.chars().count());
        Some((before.sum::<usize>() + column.saturating_sub(1), first.msg))
    }

    /// The paths of facts that it reads, with `[]` for "of any element".
    pub fn paths(&self) -> BTreeSet<String> {
        paths_of(&self.root)
    }

    /// The first function that is called and not there, with the one that is most like it. A call of it is undetermined
    /// whatever the facts are.
    pub fn undeclared(&self) -> Option<(String, Option<&'static str>)> {
        let mut open = vec![&self.root];
        while let Some(expr) = open.pop() {
            match &expr.expr {
                Expr::Call(call) => {
                    let name = call.func_name.as_str();
                    // Operators are called `_==_` and the like.
                    let is_named = name.starts_with(|c: char| c.is_ascii_alphabetic());
                    if is_named && !is_declared(name, call.target.is_some()) {
                        return Some((name.to_owned(), nearest(name, FUNCTIONS.iter().copied(), 0.8)));
                    }
                    open.extend(call.target.iter().map(|target| &**target).chain(&call.args));
                }
                Expr::Select(select) => open.push(&select.operand),
                Expr::List(list) => open.extend(&list.elements),
                Expr::Comprehension(fold) => {
                    open.extend([&fold.iter_range, &fold.loop_cond, &fold.loop_step, &fold.result]);
                }
                _ => {}
            }
        }
        None
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

/// Functions and macros that are proposed for misspelt ones.
const FUNCTIONS: &[&str] = &[
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "has",
    "all",
    "exists",
    "exists_one",
    "map",
    "filter",
    "int",
    "double",
    "string",
    "bool",
    "uint",
    "duration",
    "timestamp",
    "type",
];

/// Whether a function of this name is in the context, as one of a value (`x.name()`) or by itself (`name(x)`).
fn is_declared(name: &str, of_value: bool) -> bool {
    let call = if of_value { format!("''.{name}()") } else { format!("{name}()") };
    let Ok(root) = PrattParser::default().parse(&call) else { return true };
    let context = Values::new(&Value::Null);
    let answer = Cel::resolve(&root, &context.0);
    !matches!(answer, Err(ExecutionError::UndeclaredReference(missing)) if missing.as_str() == name)
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
        // The list itself is read as well.
        let list = path.as_ref().and_then(|path| path.split_once("[]")).map(|(list, _)| list.to_owned());
        paths.extend(list);
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
        // `list[0]` is an element of the list, `record["name"]` a field.
        Expr::Call(call) if call.func_name == "_[_]" => match call.args.as_slice() {
            [list, IdedExpr { expr: Expr::Literal(LiteralValue::Int(_)), .. }] => {
                path_of(list, bound).map(|start| start.map(|start| format!("{start}[]")))
            }
            _ => None,
        },
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
    fn an_element_by_its_number_is_an_element() {
        let paths = |source: &str| Expression::compile(source).unwrap().paths().into_iter().collect::<Vec<_>>();
        assert_eq!(paths("nvml.gpus[0].nam == 'x'"), ["nvml.gpus", "nvml.gpus[].nam"]);
        assert_eq!(paths("docker.labels['a.b'] == 'x'"), ["docker.labels"]);
    }

    #[test]
    fn functions_that_are_not_there_are_named() {
        let undeclared = |source: &str| Expression::compile(source).unwrap().undeclared();
        assert_eq!(undeclared("a.b.startWith('x')"), Some(("startWith".into(), Some("startsWith"))));
        assert_eq!(undeclared("a.b.exists(x, x.lenght() > 1)"), Some(("lenght".into(), None)));
        assert_eq!(undeclared("siz(a.b) > 0"), Some(("siz".into(), Some("size"))));
        for sound in ["a.startsWith('x') && a.endsWith('y') || a.contains('z')", "size(a) > a.size()"] {
            assert_eq!(undeclared(sound), None, "{sound}");
        }
        for sound in ["int(a) + int(double(a)) > 1", "string(a) == 'x' && has(a.b)", "a.exists_one(x, x.y == -1)"] {
            assert_eq!(undeclared(sound), None, "{sound}");
        }
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

    #[test]
    fn what_is_no_expression_says_where() {
        assert_eq!(Expression::fault("a.b == 1"), None);
        for (source, at) in [("a.b == == 1", 7), ("a.b &&\n c ) d", 10), ("\"open", 0)] {
            let (place, problem) = Expression::fault(source).unwrap();
            assert!(place.abs_diff(at) <= 1 && !problem.is_empty(), "{source}: {place} {problem}");
        }
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
