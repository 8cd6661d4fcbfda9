"use strict";
(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];

  // A button at every command.
  for (const command of all(".command")) {
    const code = command.querySelector("code");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.setAttribute("aria-label", "Copy the command " + code.textContent.slice(0, 60));
    button.addEventListener("click", async () => {
      let copied = false;
      try {
        await navigator.clipboard.writeText(code.textContent);
        copied = true;
      } catch {
        getSelection().selectAllChildren(code);
        copied = document.execCommand("copy");
      }
      button.textContent = copied ? "Copied" : "Selected";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    command.append(button);
  }

  // The search: every word must stand in the path or the value.
  const form = document.getElementById("search");
  const query = document.getElementById("query");
  const found = document.getElementById("found");
  const list = document.getElementById("list");
  let rows = null;
  const read = () => all("#list tbody").map((group) => ({
    group,
    rows: [...group.rows].slice(1).map((row) => ({
      row, text: (row.cells[0].textContent + " " + row.cells[1].textContent).toLowerCase(),
    })),
  }));
  const search = () => {
    rows ??= read();
    const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0, count = 0;
    for (const { group, rows: of } of rows) {
      let any = false;
      for (const { row, text } of of) {
        const fits = words.every((word) => text.includes(word));
        row.hidden = !fits;
        any ||= fits;
        shown += fits;
      }
      count += of.length;
      group.hidden = words.length > 0 && !any;
    }
    if (words.length) list.open = true;
    if (!words.length) found.textContent = "";
    else if (shown) found.textContent = shown + " of " + count + " facts";
    else found.textContent = "No fact has \u201c" + query.value.trim() + "\u201d in its path or value.";
  };
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  query.addEventListener("input", search);

  // On paper all that matters is unfolded, and folded again afterwards.
  let unfolded = [];
  addEventListener("beforeprint", () => {
    unfolded = all("details:not([open]):not(#list)");
    for (const one of unfolded) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of unfolded) one.open = false;
  });
})();
