"use strict";
(() => {
const $ = (selector) => document.querySelector(selector);
const rows = [...document.querySelectorAll("#photos tbody tr")];
const rowOf = new Map(rows.map((row) => [row.dataset.id, row]));
const nameOf = new Map(rows.map((row) => [row.dataset.photo, row]));
const NUMBERS = new Set(["share", "d610", "iso", "findings", "review"]);
const IMO = ["GOOD", "FAIR", "POOR"];
const VERDICTS = { confirm: "confirmed", reject: "rejected" };
const SCHEMA = "corroseg-review/1";

/* Review: photo name -> finding number -> {verdict, comment}; number 0 is what the report does not list: smaller
   regions, or that nothing is marked. Kept in the browser's storage between visits where
   it allows that, photo by photo, so that a new run of the report keeps it wherever the findings are the same; the
   file that the inspector saves is what counts. */
const review = new Map();
const memory = ({ photo, fingerprint }) => `corroseg-review ${photo} ${fingerprint}`;

function note(photo, finding) {
  return review.get(photo)?.get(finding) ?? { verdict: "", comment: "" };
}

function setNote(photo, finding, change) {
  const value = { ...note(photo, finding), ...change };
  if (!review.has(photo)) review.set(photo, new Map());
  if (value.verdict || value.comment) review.get(photo).set(finding, value);
  else review.get(photo).delete(finding);
  const row = nameOf.get(photo);
  try {
    localStorage.setItem(memory(row.dataset), JSON.stringify(Object.fromEntries(review.get(photo))));
  } catch { /* private mode or no storage: the file remains */ }
  countReviewed(row);
}

function countReviewed(row) {
  const judged = [...(review.get(row.dataset.photo) ?? [])].filter(([, n]) => n.verdict);
  const done = judged.filter(([finding]) => finding > 0 || row.dataset.findings === "0").length;
  row.dataset.review = done;
  row.querySelector("td.review").textContent = `${done} / ${toJudge(row)}`;
}

/* How many verdicts a photo asks for: one of each finding, or, where nothing is listed, one of that. */
function toJudge(row) {
  return Math.max(1, Number(row.dataset.findings));
}

/* Whether a photo has a line of this number that takes this verdict. Nothing cannot be rejected: what is missing must
   be drawn. */
function takes(row, finding, verdict) {
  const { findings, rest } = row.dataset;
  if (finding !== 0) return Number.isInteger(finding) && finding >= 1 && finding <= Number(findings);
  return rest !== "0" || (findings === "0" && verdict !== "reject");
}

function reviewJson() {
  const photos = {};
  const fingerprints = {};
  for (const photo of [...review.keys()].sort()) {
    const notes = [...review.get(photo)].sort((a, b) => a[0] - b[0]);
    if (!notes.length) continue;
    photos[photo] = Object.fromEntries(notes);
    fingerprints[photo] = nameOf.get(photo).dataset.fingerprint;
  }
  const { created, model } = document.body.dataset;
  return JSON.stringify({ schema: SCHEMA, report: created, model, fingerprints, photos }, null, 1);
}

/* Takes what fits this report from a review and returns how many notes did not. */
function readReview(content) {
  if (content?.schema !== SCHEMA || typeof content.photos !== "object") throw new Error(`no ${SCHEMA} file`);
  let unknown = 0;
  for (const [photo, notes] of Object.entries(content.photos)) {
    const row = nameOf.get(photo);
    // The same number is another finding where the findings are others. A review made by hand may have no fingerprint.
    const isOther = row && (content.fingerprints?.[photo] ?? row.dataset.fingerprint) !== row.dataset.fingerprint;
    for (const [number, value] of Object.entries(notes ?? {})) {
      const finding = Number(number);
      const verdict = value?.verdict ?? "";
      const isVerdict = verdict === "" ? typeof value === "object" : Object.hasOwn(VERDICTS, verdict);
      if (!row || isOther || !isVerdict || !takes(row, finding, verdict)) { unknown += 1; continue; }
      setNote(photo, finding, {
        verdict,
        comment: typeof value?.comment === "string" ? value.comment.slice(0, 2000) : "",
      });
    }
  }
  return unknown;
}

function say(text) { $("#review-state").textContent = text; }

function changed() { say("Review not saved to a file yet"); }

$("#save").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([reviewJson()], { type: "application/json" }));
  link.download = "review.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  say("Review saved");
});

$("#load").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  event.target.value = "";
  if (!file) return;
  try {
    const unknown = readReview(JSON.parse(await file.text()));
    say(`Review loaded${unknown ? `; ${unknown} notes were left out: of other findings, or no verdict` : ""}`);
  } catch (error) {
    say(`Not loaded: ${error.message}`);
  }
  applyFilters();
});

/* Overview: sort and filter. */
let shown = rows;

function applyFilters() {
  const f = Object.fromEntries(new FormData($("#filters")));
  const text = f.text.toLowerCase();
  shown = [...$("#photos tbody").rows].filter((row) => {
    const d = row.dataset;
    const isDone = Number(d.review) >= toJudge(row);
    const keep = (!f.asset || d.asset === f.asset) && (!f.imo || d.imo === f.imo)
      && (f.d610 === "" || Number(d.d610) <= Number(f.d610)) && (!f.iso || Number(d.iso) >= Number(f.iso))
      && (!f.from || d.date >= f.from) && (!f.to || (d.date !== "" && d.date <= f.to))
      && (!f.quality || (d.quality === "clear") === (f.quality === "clear"))
      && (!f.review || isDone === (f.review === "done")) && d.photo.toLowerCase().includes(text);
    row.hidden = !keep;
    return keep;
  });
  $("#count").textContent = `${shown.length} of ${rows.length} photos`;
}

function sortBy(button) {
  const key = button.dataset.sort;
  const head = button.closest("th");
  const falling = head.getAttribute("aria-sort") === "ascending";
  for (const other of $("#photos thead tr").cells) other.removeAttribute("aria-sort");
  $("#photos caption .screen").textContent = "; the buttons in the head sort";
  head.setAttribute("aria-sort", falling ? "descending" : "ascending");
  const value = (row) => {
    const own = row.dataset[key];
    return NUMBERS.has(key) ? Number(own) : key === "imo" ? IMO.indexOf(own) : own;
  };
  const collator = new Intl.Collator("en", { numeric: true });
  const compare = (a, b) => typeof a === "number" ? a - b : collator.compare(a, b);
  const sorted = rows.map((row) => [value(row), row]).sort((a, b) => compare(a[0], b[0]) * (falling ? -1 : 1));
  $("#photos tbody").append(...sorted.map((pair) => pair[1]));
  applyFilters();
}

for (const button of document.querySelectorAll("[data-sort]")) button.addEventListener("click", () => sortBy(button));
$("#filters").addEventListener("input", applyFilters);
$("[data-show-unclear]")?.addEventListener("click", () => {
  $("#filters").reset();
  $("#filters").elements.quality.value = "unclear";
  applyFilters();
  $("#photos-title").scrollIntoView();
});
$("#filters").addEventListener("submit", (event) => event.preventDefault());
$("#filters").addEventListener("reset", () => setTimeout(applyFilters));
for (const id of ["#print", "#print-photo"]) $(id).addEventListener("click", () => window.print());
$("#print-all").addEventListener("click", async ({ currentTarget: button }) => {
  button.disabled = true;  // some hundred photos take a while
  const state = $("#review-state").textContent;
  say(`Preparing ${shown.length} photos`);
  $("#sheets").replaceChildren(...shown.map(sheet));
  await Promise.allSettled([...$("#sheets").querySelectorAll("img")].map((image) => image.decode()));
  button.disabled = false;
  say(state);
  window.print();
});
window.addEventListener("afterprint", () => $("#sheets").replaceChildren());

/* One photo. Its pictures become images only now. */
let open = null;
let chosen = null;

function dataOf(id) {
  return JSON.parse(document.getElementById(`data-${id}`).textContent);
}

function percent(value) {
  return `${value.toFixed(2)} %`;
}

function facts(p) {
  return [
    p.asset, p.place, p.date,
    `corroded ${percent(p.corroded_percent)} of the ${p.surface} (${percent(p.corroded_low)} to ${percent(p.corroded_high)})`,
    p.surface === "photo" ? "" : `which is ${percent(p.surface_percent)} of the photo`,
    p.quality === "clear" ? "" : `photo ${p.quality}: corrosion may be missed`,
    `IMO ${p.imo}`, `ASTM D610 ${p.astm_d610}`, `ISO 4628-3 ${p.iso_4628_3}`,
  ].filter(Boolean).join(" \u00b7 ");
}

function show(id) {
  const data = dataOf(id);
  const p = data.record;
  open = p;
  chosen = null;
  $("#overview").hidden = true;
  $("header").classList.add("small");
  $("#view").hidden = false;
  const position = shown.indexOf(rowOf.get(id));
  $("#position").textContent = position < 0 ? "" : `${position + 1} of ${shown.length}`;
  $("#previous").disabled = position <= 0;
  $("#next").disabled = position < 0 || position === shown.length - 1;
  $("#name").textContent = p.photo;
  $("#facts").textContent = facts(p);
  $("#before").src = data.photo;
  $("#before").alt = `Photo ${p.photo}`;
  $("#layer").src = data.mask;
  $("#layer").alt = `Overlay: ${percent(p.corroded_percent)} of the ${p.surface} marked as corroded, in ${p.findings.length} findings`;
  for (const svg of [$("#boxes"), $("#chosen")]) svg.setAttribute("viewBox", `0 0 ${p.width} ${p.height}`);
  place($("#chosen rect"), [0, 0, 0, 0]);
  $("#findings").replaceChildren(...p.findings.map(found), ...unlisted(p));
  drawBoxes();
  slide($("#slider").value);
  window.scrollTo(0, 0);
  $("#name").focus({ preventScroll: true });
}

function drawBoxes() {
  const { clientWidth } = $("#stage");
  $("#boxes").replaceChildren(...open.findings.map((finding) => box(finding, open.width, clientWidth)));
  numbers().forEach(mark);
}

/* A box and the number of its finding, above its upper left corner where there is room. */
function box({ finding, box: [x, y, width, height] }, photoWidth, stageWidth) {
  const [group, rect, number] = ["g", "rect", "text"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
  place(rect, [x, y, width, height]);
  const size = 13 * photoWidth / stageWidth;  // 13 pixels of the screen
  number.textContent = finding;
  for (const [key, value] of Object.entries({ x, y: Math.max(y - size / 4, size), "font-size": size })) number.setAttribute(key, value);
  group.append(rect, number);
  return group;
}

function place(rect, [x, y, width, height]) {
  for (const [key, value] of Object.entries({ x, y, width, height })) rect.setAttribute(key, value);
}

function words({ finding, class: kind, area_percent: area, confidence }) {
  const title = $(`#legend [data-class="${kind}"] span`).textContent;
  return `${finding}. ${title}, ${percent(area)}, confidence ${confidence.toFixed(2)}`;
}

function found(finding) {
  return item(finding.finding, words(finding), `finding ${finding.finding}`, Object.keys(VERDICTS));
}

function wordsOfRest({ regions, area_percent: area }) {
  return regions ? `Not listed: ${regions} more region${regions > 1 ? "s" : ""}, together ${area.toFixed(3)} %` : "Nothing is marked.";
}

/* The line of number 0, where there is something to judge. */
function unlisted({ photo, rest }) {
  const verdicts = Object.keys(VERDICTS).filter((verdict) => takes(nameOf.get(photo), 0, verdict));
  const name = rest.regions ? "what is not listed" : "photo without corrosion";
  return verdicts.length ? [item(0, wordsOfRest(rest), name, verdicts)] : [];
}

function item(finding, label, name, verdicts) {
  const line = document.createElement("li");
  line.dataset.finding = finding;
  const text = document.createElement("p");
  text.textContent = label;
  const buttons = verdicts.map((verdict) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.verdict = verdict;
    button.textContent = verdict === "confirm" ? "Confirm" : "Reject";
    button.setAttribute("aria-label", `${button.textContent} ${name}`);
    button.addEventListener("click", () => judge(finding, verdict));
    return button;
  });
  const comment = document.createElement("input");
  comment.type = "text";
  comment.maxLength = 2000;
  comment.placeholder = "Comment";
  comment.setAttribute("aria-label", `Comment on ${name}`);
  comment.value = note(open.photo, finding).comment;
  comment.addEventListener("input", () => {
    setNote(open.photo, finding, { comment: comment.value });
    changed();
  });
  line.append(text, ...buttons, comment);
  line.addEventListener("focusin", () => choose(finding));
  line.addEventListener("click", () => choose(finding));
  return line;
}

/* Numbers of the lines that are shown, in their order. */
function numbers() {
  return [...$("#findings").children].map((line) => Number(line.dataset.finding));
}

function lineOf(finding) {
  return $(`#findings [data-finding="${finding}"]`);
}

function judge(finding, verdict) {
  if (!takes(nameOf.get(open.photo), finding, verdict)) return;
  const isSame = note(open.photo, finding).verdict === verdict;
  setNote(open.photo, finding, { verdict: isSame ? "" : verdict });
  mark(finding);
  changed();
}

function mark(finding) {
  const { verdict } = note(open.photo, finding);
  const line = lineOf(finding);
  if (verdict) line.dataset.verdict = VERDICTS[verdict];
  else delete line.dataset.verdict;
  for (const button of line.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.dataset.verdict === verdict));
  }
  if (finding) $("#boxes").children[finding - 1].classList.toggle("rejected", verdict === "reject");
}

function choose(finding) {
  chosen = finding;
  const own = lineOf(finding);
  for (const line of $("#findings").children) line.classList.toggle("chosen", line === own);
  place($("#chosen rect"), finding ? open.findings[finding - 1].box : [0, 0, 0, 0]);
}

function chooseNext(by) {
  const all = numbers();
  const next = all[chosen === null ? 0 : all.indexOf(chosen) + by];
  if (next === undefined) return;
  choose(next);
  lineOf(next).scrollIntoView({ block: "nearest" });  // by keys alone: a line that moves under the pointer loses a click
}

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/* A photo as it is printed with others: overlay, boxes, facts, and each finding with its verdict and comment. */
function sheet({ dataset: { id } }) {
  const { record: p, photo, mask } = dataOf(id);
  const boxes = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  boxes.setAttribute("viewBox", `0 0 ${p.width} ${p.height}`);
  const width = Math.min(640, 340 * p.width / p.height);  // pixels of CSS: the page is as wide, and 9 cm are 340
  boxes.append(...p.findings.map((finding) => {
    const group = box(finding, p.width, width);
    group.classList.toggle("rejected", note(p.photo, finding.finding).verdict === "reject");
    return group;
  }));
  const line = (finding, text) => {
    const { verdict, comment } = note(p.photo, finding);
    return make("li", { textContent: [text, VERDICTS[verdict], comment].filter(Boolean).join(": ") });
  };
  const lines = p.findings.map((finding) => line(finding.finding, words(finding)));
  if (p.rest.regions || !lines.length) lines.push(line(0, wordsOfRest(p.rest)));
  return make("article", {}, make("h2", { textContent: p.photo }), make("p", { textContent: facts(p) }),
    make("div", { className: "picture" }, make("img", { src: photo, alt: `Photo ${p.photo}` }), make("img", { src: mask, alt: "Overlay" }), boxes),
    make("ul", {}, ...lines));
}

function slide(value) {
  $("#slider").value = value;
  for (const over of [$("#layer"), $("#boxes")]) over.style.clipPath = `inset(0 0 0 ${value}%)`;
  $("#handle").style.left = `${value}%`;
}

$("#slider").addEventListener("input", (event) => slide(event.target.value));
function drag(event) {
  if (event.type === "pointermove" && !event.buttons) return;
  event.preventDefault();
  const area = $("#stage").getBoundingClientRect();
  slide(Math.min(100, Math.max(0, 100 * (event.clientX - area.left) / area.width)));
}
$("#stage").addEventListener("pointerdown", drag);
$("#stage").addEventListener("pointermove", drag);

function step(by) {
  const next = shown[shown.indexOf(rowOf.get(open.id)) + by];
  if (next) location.hash = next.dataset.id;
}

function back() {
  location.hash = "overview";
}

/* The address says which photo is open, so that the browser's own "back" works. */
function follow() {
  const id = decodeURIComponent(location.hash.slice(1));
  if (rowOf.has(id)) { show(id); return; }
  const last = open;
  open = null;
  $("#view").hidden = true;
  $("#overview").hidden = false;
  $("header").classList.remove("small");
  if (!last) return;
  applyFilters();
  const heading = id !== "overview" && document.getElementById(id);
  if (heading) heading.scrollIntoView();
  else rowOf.get(last.id).querySelector("a").focus();
}

$("#back").addEventListener("click", back);
$("#previous").addEventListener("click", () => step(-1));
$("#next").addEventListener("click", () => step(1));
window.addEventListener("hashchange", follow);
window.addEventListener("resize", () => open && drawBoxes());

const KEYS = {
  n: () => step(1), p: () => step(-1), j: () => chooseNext(1), k: () => chooseNext(-1),
  c: () => chosen !== null && judge(chosen, "confirm"), r: () => chosen !== null && judge(chosen, "reject"),
  m: () => chosen !== null && lineOf(chosen).querySelector("input").focus(),
  o: () => slide(Number($("#slider").value) < 100 ? 100 : 0),
};

document.addEventListener("keydown", (event) => {
  if (!open || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") { back(); return; }
  const isTyping = event.target.matches("input:not([type=range]):not([type=checkbox]), select");
  const action = KEYS[event.key];
  if (action && !isTyping && $("#use-keys").checked) {
    event.preventDefault();
    action();
  }
});

for (const { dataset } of rows) {
  try {
    const kept = JSON.parse(localStorage.getItem(memory(dataset)));
    readReview({ schema: SCHEMA, photos: { [dataset.photo]: kept } });
  } catch { /* no storage, or another program's entry */ }
}
if (review.size) say("Review of the last visit restored");
follow();
})();
