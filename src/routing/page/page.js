// The part of the page that answers to its reader: one question at a time, a layer and a choice, and which expert
// took which patch and which word. Everything else on the page is drawn already.
"use strict";

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const explorer = document.getElementById("explorer");
  if (!explorer) return;

  const L = data.layers.length, K = data.topK;
  const state = { sample: 0, layer: 0, choice: 0, token: null };
  const at = id => document.getElementById(id);

  function element(name, attributes = {}, text = null) {
    const space = ["svg", "rect"].includes(name) ? "http://www.w3.org/2000/svg" : "http://www.w3.org/1999/xhtml";
    const made = document.createElementNS(space, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== null) made.textContent = text;
    return made;
  }

  const sample = () => data.samples[state.sample];
  // Of token t in layer l, its k-th choice: the expert, its weight in percent, 0 when the expert was full.
  const expert = (t, l, k) => sample().experts[(t * L + l) * K + k];
  const weight = (t, l, k) => sample().weights[(t * L + l) * K + k];
  const colour = e => data.colours[e];
  const pale = e => colour(e) + "b0";

  // --- The picture and its patches

  function drawPictures() {
    const place = at("pictures");
    place.replaceChildren();
    sample().pictures.forEach((picture, number) => {
      const box = element("div", { class: "picture", style: `aspect-ratio: ${picture.columns} / ${picture.rows}` });
      if (picture.src) box.append(element("img", { src: picture.src, alt: picture.name }));
      const svg = element("svg", { viewBox: `0 0 ${picture.columns} ${picture.rows}`, preserveAspectRatio: "none" });
      sample().tokens.forEach(([, of, cell], t) => {
        if (of !== number || cell < 0) return;
        const rect = element("rect", { x: cell % picture.columns, y: Math.floor(cell / picture.columns),
          width: 1, height: 1, "data-token": t });
        rect.addEventListener("pointerenter", () => pick(t));
        rect.addEventListener("click", () => pick(t));
        svg.append(rect);
      });
      box.append(svg);
      place.append(box);
    });
    if (sample().pictures.length === 0) place.append(element("p", { class: "note" }, "A question without a picture."));
  }

  // --- The words

  function drawWords() {
    const place = at("words");
    place.replaceChildren();
    let picture = -1;
    sample().tokens.forEach(([text, of, , answer], t) => {
      if (of >= 0) {
        if (of !== picture) place.append(element("span", { class: "place" }, `picture ${of + 1}`));
        picture = of;
        return;
      }
      const word = element("button", { type: "button", "data-token": t }, text.replace(/\n/g, "\u23ce\n") || "\u00b7");
      if (answer) word.classList.add("answer");
      word.addEventListener("pointerenter", () => pick(t));
      word.addEventListener("focus", () => pick(t));
      word.addEventListener("click", () => pick(t));
      place.append(word);
    });
  }

  // --- All layers at a glance

  function drawSmallMaps() {
    const place = at("small-maps");
    place.replaceChildren();
    const picture = sample().pictures[0];
    data.layers.forEach((layer, l) => {
      const button = element("button", { type: "button", "aria-pressed": "false", "data-layer": l });
      if (picture) {
        const canvas = element("canvas", { width: picture.columns, height: picture.rows });
        const pen = canvas.getContext("2d");
        sample().tokens.forEach(([, of, cell], t) => {
          if (of !== 0 || cell < 0) return;
          pen.fillStyle = colour(expert(t, l, state.choice));
          pen.fillRect(cell % picture.columns, Math.floor(cell / picture.columns), 1, 1);
        });
        button.append(canvas);
      }
      button.append(element("span", {}, String(layer)));
      button.addEventListener("click", () => choose({ layer: l }));
      place.append(button);
    });
  }

  // --- Colours of the chosen layer, counts, and the token that is pointed at

  function paint() {
    const counts = data.colours.map(() => [0, 0]);
    for (const shape of explorer.querySelectorAll("[data-token]")) {
      const t = Number(shape.dataset.token), e = expert(t, state.layer, state.choice);
      ++counts[e][shape.tagName === "rect" ? 1 : 0];
      if (shape.tagName === "rect") {
        shape.setAttribute("fill", colour(e));
        shape.setAttribute("fill-opacity", at("strength").value / 100);
      } else {
        shape.style.setProperty("--c", pale(e));
        shape.classList.toggle("dropped", weight(t, state.layer, state.choice) === 0);
      }
      shape.classList.toggle("picked", t === state.token);
    }
    at("layer-name").textContent = data.layers[state.layer];
    at("counts").replaceChildren(...counts.map(([words, patches], e) => {
      const item = element("li", { style: `--c: ${colour(e)}` });
      item.append(element("i"), `expert ${e + 1}: ${words} words, ${patches} patches`);
      return item;
    }).filter((_, e) => data.colours.length <= 8 || counts[e][0] + counts[e][1] > 0));
    for (const button of at("small-maps").children)
      button.setAttribute("aria-pressed", String(Number(button.dataset.layer) === state.layer));
  }

  function drawToken() {
    const place = at("token-path");
    place.replaceChildren();
    if (state.token === null) {
      at("token-name").textContent = "Point at a word or a patch to see its way through the layers.";
      return;
    }
    const t = state.token, [text, of, cell] = sample().tokens[t];
    at("token-name").textContent = of < 0 ? `The word “${text.trim() || text}” and its experts, layer by layer`
      : `Patch ${cell + 1} of picture ${of + 1} and its experts, layer by layer`;
    data.layers.forEach((layer, l) => {
      const column = element("div");
      for (let k = 0; k < K; ++k) {
        const e = expert(t, l, k), share = weight(t, l, k);
        const mark = element("b", { style: `--c: ${colour(e)}`, title: `layer ${layer}, expert ${e + 1}: ${share} %` },
          String(e + 1));
        if (share === 0) mark.classList.add("dropped");
        column.append(mark);
      }
      column.append(String(layer));
      place.append(column);
    });
  }

  function pick(token) {
    if (state.token === token) return;
    state.token = token;
    for (const shape of explorer.querySelectorAll("[data-token]"))
      shape.classList.toggle("picked", Number(shape.dataset.token) === token);
    drawToken();
  }

  function choose(changes) {
    const sampleChanges = "sample" in changes && changes.sample !== state.sample;
    Object.assign(state, changes);
    if (sampleChanges) {
      state.token = null;
      drawPictures();
      drawWords();
    }
    if (sampleChanges || "choice" in changes) drawSmallMaps();
    at("layer").value = state.layer;
    paint();
    drawToken();
  }

  // --- Controls

  data.samples.forEach((one, number) => {
    at("sample").append(element("option", { value: number }, one.title));
  });
  at("sample").addEventListener("change", event => choose({ sample: Number(event.target.value) }));
  at("layer").max = L - 1;
  at("layer").addEventListener("input", event => choose({ layer: Number(event.target.value) }));
  at("strength").addEventListener("input", paint);
  for (let k = 0; k < K && K > 1; ++k) {
    const label = element("label", { class: "choice" });
    const radio = element("input", { type: "radio", name: "choice", value: k });
    radio.checked = k === 0;
    radio.addEventListener("change", () => choose({ choice: k }));
    label.append(radio, ` ${["first", "second", "third"][k] || k + 1 + "th"}`);
    at("choices").append(label);
  }
  at("choices").hidden = K < 2;
  drawPictures();
  drawWords();
  choose({ choice: 0 });
})();
