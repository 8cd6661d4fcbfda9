//! Which terms of a condition decide it.

use super::{Bound, Expression, Truth, Values, path_of, paths_of, truth};
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};

/// A term without `&&`, `||` and `!` that decides an expression, and how it came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// The paths that it reads; the first is what it is about.
    pub paths: Vec<String>,
    /// What it asks of the first.
    pub asks: Asks,
    /// Whether it is so.
    pub is_so: bool,
}

/// What a term asks of a fact.
#[derive(Debug, Clone, PartialEq)]
pub enum Asks {
    /// Whether it is true.
    Truth,
    /// How it compares with something.
    Value,
    /// How many there are.
    Size,
    /// Whether one of a list fits.
    Exists,
    /// Whether this text is in it.
    Has(String),
}

impl Expression {
    /// The terms that decide an expression which is true (`is_so`) or false, in its order: each inner list is enough by
    /// itself, and the terms of one stand together. Empty if the expression is not decided that way.
    pub fn decided_by(&self, values: &Values, is_so: bool) -> Vec<Vec<Term>> {
        match truth(&self.root, values) {
            Truth::True if is_so => decisive(&self.root, values, true),
            Truth::False if !is_so => decisive(&self.root, values, false),
            _ => Vec::new(),
        }
    }
}

fn decisive(expr: &IdedExpr, values: &Values, is_so: bool) -> Vec<Vec<Term>> {
    let wanted = if is_so { Truth::True } else { Truth::False };
    match &expr.expr {
        Expr::Call(call) if call.func_name == "!_" => {
            call.args.first().map(|part| decisive(part, values, !is_so)).unwrap_or_default()
        }
        // One part alone decides: a false one of `&&`, a true one of `||`.
        Expr::Call(call) if is_joined(call) && (call.func_name == "_&&_") != is_so => {
            let parts = call.args.iter().filter(|part| truth(part, values) == wanted);
            parts.flat_map(|part| decisive(part, values, is_so)).collect()
        }
        Expr::Call(call) if is_joined(call) => {
            let together = call.args.iter().flat_map(|part| decisive(part, values, is_so).into_iter().next());
            vec![together.flatten().collect()]
        }
        _ => vec![vec![Term { is_so, ..term(expr) }]],
    }
}

fn is_joined(call: &CallExpr) -> bool {
    matches!(call.func_name.as_str(), "_&&_" | "_||_")
}

/// What a term asks; how it came out is filled in by who knows it.
fn term(expr: &IdedExpr) -> Term {
    let of = |part: &IdedExpr, asks: Asks| {
        let first = path_of(part, &Bound::new()).flatten();
        let (paths, asks) = match first {
            Some(path) => (vec![path], asks),
            None => (paths_of(expr).into_iter().collect(), Asks::Value),
        };
        Term { paths, asks, is_so: false }
    };
    match &expr.expr {
        Expr::Comprehension(fold) => of(&fold.iter_range, Asks::Exists),
        Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
            ("@in", [one, list]) => match &one.expr {
                Expr::Literal(LiteralValue::String(text)) => of(list, Asks::Has(text.inner().to_owned())),
                _ => of(one, Asks::Value),
            },
            (_, [one, other]) => match sized(one).or_else(|| sized(other)) {
                Some(list) => of(list, Asks::Size),
                None if path_of(one, &Bound::new()).is_some() => of(one, Asks::Value),
                None => of(other, Asks::Value),
            },
            _ => of(expr, Asks::Value),
        },
        _ => of(expr, Asks::Truth),
    }
}

fn sized(part: &IdedExpr) -> Option<&IdedExpr> {
    match &part.expr {
        Expr::Call(CallExpr { func_name, target: None, args }) if func_name == "size" => args.first(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_terms_that_decide_an_expression_are_told() {
        let values = Values::new(&json!({"a": {"yes": true, "no": false, "list": [], "name": "x", "some": [1]}}));
        let told = |source: &str, is_so: bool| {
            let terms = Expression::compile(source).unwrap().decided_by(&values, is_so);
            let one = |term: &Term| format!("{} {:?} {}", term.paths.join("+"), term.asks, term.is_so);
            terms.iter().map(|terms| terms.iter().map(one).collect::<Vec<_>>().join(" & ")).collect::<Vec<_>>()
        };
        let refuting = |source: &str| told(source, false);
        assert_eq!(refuting("!a.yes && a.no && a.gone"), ["a.yes Truth true", "a.no Truth false"]);
        assert_eq!(refuting("a.yes && (a.no || size(a.list) > 0)"), ["a.no Truth false & a.list Size false"]);
        assert_eq!(refuting("a.list.exists(l, l.x == 1)"), ["a.list Exists false"]);
        assert_eq!(refuting("!(a.no || a.yes)"), ["a.yes Truth true"]);
        assert_eq!(refuting("\"y\" in a.list"), ["a.list Has(\"y\") false"]);
        assert_eq!(refuting("a.name in [\"y\", \"z\"]"), ["a.name Value false"]);
        assert_eq!(refuting("a.name == \"y\""), ["a.name Value false"]);
        assert_eq!(refuting("\"y\" == a.name"), ["a.name Value false"]);
        // What is true or open is refuted by nothing.
        assert!(refuting("a.yes").is_empty());
        assert!(refuting("a.gone && a.yes").is_empty());
        assert_eq!(told("a.yes && size(a.some) > 0", true), ["a.yes Truth true & a.some Size true"]);
        assert_eq!(told("a.gone || a.yes || !a.no", true), ["a.yes Truth true", "a.no Truth false"]);
        assert!(told("a.no", true).is_empty());
    }
}
