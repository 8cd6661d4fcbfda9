use super::*;

fn parsed(line: &str) -> Command {
    Command::parse(shlex::split(line).unwrap())
}

fn with(own: &str, further: &str) -> String {
    parsed(own).with(parsed(further)).typed()
}

#[test]
fn what_the_check_wants_wins_and_what_the_user_ran_stays() {
    assert_eq!(
        with("--server http://a:1/ --log 'my log' --smoke", "--only request --server http://a:1"),
        "gpu-doctor run --only request --server http://a:1/ --log 'my log' --smoke"
    );
    assert_eq!(with("--server http://a:1", "--server https://a:1"), "gpu-doctor run --server https://a:1");
    assert_eq!(with("--log a --log b", "--log b --log c"), "gpu-doctor run --log a --log b --log c");
    assert_eq!(with("--field lang=en", "--field NAME=VALUE"), "gpu-doctor run --field lang=en --field NAME=VALUE");
}

#[test]
fn placeholders_stand_only_where_nothing_is_known() {
    assert_eq!(with("", "--server unknown --model unknown"), "gpu-doctor run --server http://HOST:PORT --model FILE");
    assert_eq!(
        with("--server http://a:1 --python venv", "--server unknown --python EXE"),
        "gpu-doctor run --server http://a:1 --python venv"
    );
    assert_eq!(with("--bearer-file key", "--bearer-env SERVER_TOKEN"), "gpu-doctor run --bearer-file key");
    assert_eq!(with("--bearer-file key", "--basic-env login"), "gpu-doctor run --basic-env login");
    assert_eq!(with("", "--bearer-env SERVER_TOKEN"), "gpu-doctor run --bearer-env SERVER_TOKEN");
}

#[test]
fn a_target_without_its_command_is_told_by_its_settings() {
    let target = Target {
        root: "/".into(),
        server: Some("http://127.0.0.1:8000/".into()),
        client_request: Some("doctor.yaml".into()),
        logs: vec!["a b.log".into()],
        smoke: true,
        ..Target::default()
    };
    let line = "gpu-doctor run --server http://127.0.0.1:8000/ --config doctor.yaml --log 'a b.log' --smoke";
    assert_eq!(Command::of(&target).typed(), line);
    let told = Target { command: ["run", "--config", "doctor.yaml"].map(str::to_owned).to_vec(), ..target };
    assert_eq!(Command::of(&told).typed(), "gpu-doctor run --config doctor.yaml");
}

#[test]
fn the_demo_s_server_is_not_named() {
    for command in [vec![], vec!["demo".to_owned()]] {
        let target = Target {
            server: Some("http://127.0.0.1:41234/".into()),
            client_request: Some(DEMO_CLIENT.into()),
            command,
            ..Target::default()
        };
        assert!(is_demo(&target));
        assert_eq!(Command::of(&target).typed(), "gpu-doctor run --server http://HOST:PORT --client-request FILE");
    }
}

#[test]
fn sudo_keeps_the_variable_of_the_token() {
    let command = parsed("--server http://a:1 --bearer-env KEY");
    assert_eq!(
        command.typed_as(Some(1000)),
        "sudo -u '#1000' --preserve-env=KEY gpu-doctor run --server http://a:1 --bearer-env KEY"
    );
    assert!(command.typed_as(Some(0)).starts_with("sudo --preserve-env=KEY gpu-doctor run "));
}

#[test]
fn words_of_a_command_stay_words() {
    for word in ["a b", "it's", "$(x)", "`x`", "", "-x", "a\nb", "ä", "NAME=VALUE", "*"] {
        let options = vec![Given { flag: "--model".into(), value: Some(word.into()) }];
        let command = Command { name: None, options };
        let typed = command.typed();
        let again = parsed(typed.strip_prefix("gpu-doctor run ").unwrap());
        assert_eq!(again, command, "{typed}");
    }
}

#[test]
fn a_load_is_made_again_and_left_out_where_it_is_not_wanted() {
    let words = ["stress", "--server", "http://h:1/", "--users", "10,25", "--i-own-this-server", "--smoke"];
    let target = Target { command: words.map(str::to_owned).to_vec(), ..Target::default() };
    let own = Command::of(&target);
    assert_eq!(own.typed(), "gpu-doctor stress --server http://h:1/ --users 10,25 --i-own-this-server --smoke");
    assert_eq!(own.clone().named("run").typed(), "gpu-doctor run --server http://h:1/ --smoke");
    let more = Command::parse(["--users", "1,10"].map(str::to_owned).to_vec());
    let typed = own.with(more).typed();
    assert_eq!(typed, "gpu-doctor stress --server http://h:1/ --users 1,10 --i-own-this-server --smoke");
    let run = Target { command: ["run", "--server", "http://h:1/"].map(str::to_owned).to_vec(), ..Target::default() };
    assert_eq!(Command::of(&run).named("stress").typed(), "gpu-doctor stress --server http://h:1/");
}
