"use strict";
// The page is whole without this: it adds copy buttons, arrow keys within a table, Escape out of a panel, a filter of runs, and saving a figure.
for (const code of document.querySelectorAll("code[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.setAttribute("aria-label", "Copy: " + code.textContent);
  button.addEventListener("click", () => navigator.clipboard.writeText(code.textContent).then(() => { button.textContent = "Copied"; }));
  code.after(" ", button);
}
for (const table of document.querySelectorAll("table.results")) {
  const rows = [...table.tBodies[0].rows].map((row) => [...row.querySelectorAll("td")].map((cell) => cell.querySelector("a")));
  const links = rows.flat().filter(Boolean);
  const only = (link) => links.forEach((other) => { other.tabIndex = other === link ? 0 : -1; });
  if (links.length) only(links[0]);
  table.addEventListener("focusin", (event) => { if (links.includes(event.target)) only(event.target); });
  table.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    let at = rows.findIndex((row) => row.includes(event.target));
    if (!step || at < 0) return;
    let column = rows[at].indexOf(event.target);
    do { at += step[0]; column += step[1]; } while (rows[at] && column in rows[at] && !rows[at][column]);
    const next = rows[at] && rows[at][column];
    if (next) { event.preventDefault(); next.focus(); }
  });
}
for (const list of document.querySelectorAll("ul.filtered")) {
  const box = document.createElement("input");
  box.type = "search";
  box.setAttribute("aria-label", "Show runs whose line has these words");
  box.placeholder = "Filter, e.g. okddip resnet32 done";
  box.addEventListener("input", () => {
    const words = box.value.toLowerCase().split(/\s+/);
    for (const line of list.children) line.hidden = !words.every((word) => line.textContent.toLowerCase().includes(word));
  });
  list.before(box);
}
document.addEventListener("keydown", (event) => {
  const panel = event.key === "Escape" && document.querySelector(".panel:target");
  if (panel) panel.querySelector(".close").click();
});
for (const figure of document.querySelectorAll("figure.drawn")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Save as SVG";
  button.addEventListener("click", () => {
    const style = getComputedStyle(document.documentElement);
    const text = new XMLSerializer().serializeToString(figure.querySelector("svg"));
    const plain = text.replace(/var\((--[a-z-]+)\)/g, (_, name) => style.getPropertyValue(name).trim());
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([plain], { type: "image/svg+xml" }));
    link.download = figure.id + ".svg";
    link.click();
  });
  figure.append(button);
}
