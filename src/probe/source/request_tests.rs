//! Handlers as people write them, and which fields they read.

use super::request::{Told, read};
use super::syntax::Source;
use proptest::prelude::*;

fn told(text: &str) -> Told {
    read(&Source::of(text), "/srv/app.py")
}

/// `place name` of each field, `?` behind those that need not be there.
fn fields(text: &str) -> Vec<String> {
    let mark = |demanded| if demanded { "" } else { "?" };
    told(text).fields.iter().map(|f| format!("{} {}{}", f.place, f.name, mark(f.demanded))).collect()
}

#[test]
fn what_frameworks_read_is_found_in_its_place() {
    for (text, expected) in [
        ("lang = request.form['lang']", vec!["form lang"]),
        ("lang = flask.request.form.get('lang', 'en')", vec!["form lang?"]),
        ("a = request.files['audio'].read()", vec!["file audio"]),
        ("q = request.args['q']; r = request.values['r']", vec!["query q", "form r"]),
        ("k = request.headers['X-Key']", vec!["header X-Key"]),
        ("x = request.get_json()['x']", vec!["json x"]),
        ("x = request.get_json(force=True).get('x')", vec!["json x?"]),
        ("x = request.json['x']", vec!["json x"]),
        ("x = (await request.json())['x']", vec!["json x"]),
        (
            "async def f(request):\n    data = await request.json()\n    return data['x'], data.get('y')",
            vec!["json x", "json y?"],
        ),
        ("async def f(req):\n    form = await req.form()\n    audio = form['audio']", vec!["form audio"]),
        ("body = request.get_json() or {}\nx = body['x']", vec!["json x"]),
        ("x = json.loads(await request.body())['x']", vec!["json x"]),
        ("d = json.loads(request.data)\nx = d.pop('x')", vec!["json x"]),
        ("f = request.form.to_dict()\nx = f['x']", vec!["form x"]),
        (
            "x = request.POST['x']; y = request.FILES['y']; z = request.GET.get('z')",
            vec!["form x", "file y", "query z?"],
        ),
        (
            "class A(ls.LitAPI):\n    def decode_request(self, request):\n        return request['input'], request.get('k')",
            vec!["json input", "json k?"],
        ),
        (
            "class M(Model):\n    def predict(self, payload, headers=None):\n        return payload['instances']",
            vec!["json instances"],
        ),
        ("t = pb_utils.get_input_tensor_by_name(request, 'lang')", vec!["tensor lang"]),
        (
            "def f(payload):\n    inputs = {t.name: t for t in payload.inputs}\n    return inputs['audio']",
            vec!["tensor audio"],
        ),
        (
            "class M(MLModel):\n    @decode_args\n    async def predict(self, audio: np.ndarray, lang: List[str] = None):\n        pass",
            vec!["tensor audio", "tensor lang?"],
        ),
        (
            "class S:\n    @bentoml.api\n    def t(self, audio: pathlib.Path, lang: str, rate: int = 1) -> dict:\n        pass",
            vec!["file audio", "json lang", "json rate?"],
        ),
    ] {
        assert_eq!(fields(text), expected, "{text}");
    }
}

#[test]
fn fastapis_parameters_and_models_are_fields() {
    let text = "from fastapi import FastAPI, File, Form\n\
        class Body_(BaseModel):\n    audio_b64: str\n    lang: Optional[str] = None\n    n: int = Field(...)\n\
        \x20   def check(self):\n        inner: int\n\
        @app.post('/asr')\n\
        def asr(audio: UploadFile = File(...), lang: str = Form(...), d: str = Form('ctc'), v: int = Query(1),\n\
        \x20       x_key: str = Header(), t: Annotated[str, Form()], u: Annotated[str, Form(alias='U')] = 'x', q: str = None,\n\
        \x20       background: BackgroundTasks = None):\n    pass\n\
        @app.post('/json/{name}')\n\
        async def by_json(name: str, body: Body_, limit: int):\n    pass\n\
        def no_route(lang: str = Form(...)):\n    pass\n";
    let found = told(text).fields;
    let of = |route: &str| -> Vec<String> {
        let own = found.iter().filter(|field| field.route == route);
        own.map(|f| format!("{} {}{}", f.place, f.name, if f.demanded { "" } else { "?" })).collect()
    };
    assert_eq!(
        of("/asr"),
        ["file audio", "form lang", "form d?", "query v?", "header x-key", "form t", "form U?", "query q?"]
    );
    assert_eq!(of("/json/{name}"), ["json audio_b64", "json lang?", "json n", "query limit"]);
    assert_eq!(of(""), Vec::<String>::new());
}

#[test]
fn routes_are_those_of_decorators_and_of_calls() {
    let text = "def asr():\n    return request.form['lang']\n\n\
        @bp.route('/other', methods=['POST'])\n@login\ndef other():\n    def inner():\n        return request.json['deep']\n    \
        return request.args['q']\n\nclass V:\n    def post(self):\n        return request.form['c']\n\n\
        app.post('/asr')(asr)\napp.add_url_rule('/view', view_func=V.post)\n";
    let found = told(text).fields;
    let shown: Vec<String> = found.iter().map(|f| format!("{} {} {} {}", f.name, f.function, f.route, f.at)).collect();
    assert_eq!(
        shown,
        [
            "lang asr /asr /srv/app.py:2",
            "deep inner  /srv/app.py:8",
            "q other /other /srv/app.py:9",
            "c post /view /srv/app.py:13"
        ]
    );
}

#[test]
fn what_is_no_field_of_a_request_is_none() {
    for text in [
        "x = response.json()['x']",
        "r = requests.get(url).json()['x']",
        "request.form['lang'] = 'en'",
        "x = config['lang']",
        "x = request.form[name]",
        "x = request.form[f'{a}']",
        "data = await request.json()\ndata = other\nx = data['x']",
        "def a(request):\n    data = request.get_json()\ndef b():\n    return data['x']",
        "# request.form['lang']",
        "'''request.form['lang']'''",
        "def f(lang: str = Form(...)):\n    pass",
        "x = request.cookies['session']",
    ] {
        assert_eq!(fields(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn fetches_of_handlers_are_told_and_those_at_the_start_are_not() {
    let text = "import requests\nfrom urllib.request import urlopen\nMODEL = requests.get(HUB)\n\
        def asr():\n    return requests.get(body['url']).content\ndef b():\n    return urlopen(x)\n";
    let shown: Vec<String> =
        told(text).fetches.iter().map(|f| format!("{} {} {}", f.callee, f.function, f.at)).collect();
    assert_eq!(shown, ["requests.get asr /srv/app.py:5", "urllib.request.urlopen b /srv/app.py:7"]);
}

proptest! {
    #[test]
    fn any_text_is_read_in_bounds(
        source in r#"(def |class |async |f\(|a: |BaseModel|request|\.form|\.json|\(|\)|\[|\]|'x'|"/p"|@app\.post|\n|    |=|await |,|Form|\{|\}|é|import fastapi)*"#,
    ) {
        prop_assert!(told(&source).fields.len() <= 200);
    }
}
