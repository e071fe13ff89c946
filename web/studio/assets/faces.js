// The picture with its faces, and one choice per face. See photo.py.
// props.photo: {key, url, size: [w, h], faces: [{number, box}], wish}; props.value and a wish, which is an earlier value:
// {key, faces: {"1": "hide"}, areas: [[x, y, w, h]]}
const fc = window.facecloak;
const make = fc.make;
const root = element.querySelector(".fc-faces");
const t = words;
const HOWS = ["hide", "cloak", "keep"];
let photo = null;
let choice = null; // what props.value will be
let isDrawing = false;

function share() {
  props.value = JSON.parse(JSON.stringify(choice));
}

function build() {
  photo = props.photo;
  root.replaceChildren();
  if (!photo || !photo.key) return;
  const kept = photo.wish || {};
  choice = { key: photo.key, faces: {}, areas: (kept.areas || []).map((area) => [...area]) };
  for (const face of photo.faces) choice.faces[face.number] = (kept.faces || {})[face.number] || "hide";
  isDrawing = false;

  const [width, height] = photo.size;
  const frame = make("div", { class: "fc-frame" });
  frame.style.aspectRatio = `${width} / ${height}`;
  frame.style.maxWidth = `calc(70vh * ${width / height})`;
  frame.append(make("img", { src: photo.url, alt: fc.words(t.picture, { count: photo.faces.length }), draggable: "false" }));
  const list = make("div", { class: "fc-list" });
  const many = make("div", { class: "fc-many", role: "group", "aria-label": t.all });
  const faces = make("div", { class: "fc-each" });
  const areas = make("div", { class: "fc-areas" });
  root.append(make("div", { class: "fc-picture" }, frame), list);

  const boxes = {};
  const paint = (number) => {
    const how = choice.faces[number];
    boxes[number].dataset.how = how;
    boxes[number].title = `${fc.words(t.face, { number })}: ${t[how]}`;
    // In a crowd the words would hide the faces; colours and the list say the same
    boxes[number].querySelector("span").textContent = photo.faces.length > 8 ? number : `${number} ${t[how]}`;
    const radio = root.querySelector(`input[name="${name(number)}"][value="${how}"]`);
    if (radio) radio.checked = true;
  };
  const name = (number) => `face-${photo.key}-${number}`;
  const set = (number, how) => { choice.faces[number] = how; paint(number); };

  for (const face of photo.faces) {
    const [x1, y1, x2, y2] = face.box;
    // A shortcut for the pointer; by keyboard the same is done in the list
    const box = make("button", { class: "fc-face", type: "button", tabindex: "-1", "aria-hidden": "true", "data-face": face.number,
      onclick: () => { set(face.number, HOWS[(HOWS.indexOf(choice.faces[face.number]) + 1) % 3]); share(); } }, make("span", {}));
    place(box, x1, y1, x2 - x1, y2 - y1);
    boxes[face.number] = box;
    frame.append(box);

    const row = make("fieldset", { class: "fc-row", "data-face": face.number });
    row.append(make("legend", {}, fc.words(t.face, { number: face.number })), crop(face.box));
    const hows = make("div", { class: "fc-hows" });
    for (const how of HOWS) {
      hows.append(make("label", { class: "fc-how", "data-how": how },
        make("input", { type: "radio", name: name(face.number), value: how, onchange: () => { set(face.number, how); share(); } }),
        make("span", {}, t[how])));
    }
    row.append(hows);
    for (const [on, off] of [["mouseenter", "mouseleave"], ["focusin", "focusout"]]) {
      row.addEventListener(on, () => box.classList.add("fc-on"));
      row.addEventListener(off, () => box.classList.remove("fc-on"));
    }
    faces.append(row);
  }

  for (const how of HOWS) {
    many.append(make("button", { class: "fc-button", type: "button", "data-all": how, onclick: () => {
      for (const face of photo.faces) set(face.number, how);
      share();
    } }, t[`all_${how}`]));
  }
  const draw = make("button", { class: "fc-button fc-draw", type: "button", "aria-pressed": "false", onclick: (event) => {
    if (event.detail === 0) addArea([0.4 * width, 0.35 * height, 0.2 * width, 0.3 * height], true); // by keyboard
    else setDrawing(!isDrawing);
  } }, t.draw);
  const hint = make("p", { class: "fc-help", "aria-live": "polite" });
  const setDrawing = (on) => {
    isDrawing = on;
    draw.setAttribute("aria-pressed", String(on));
    frame.classList.toggle("fc-drawing", on);
    hint.textContent = on ? t.draw_hint : "";
  };
  list.append(make("p", { class: "fc-count" }, photo.faces.length === 0 ? t.none :
    fc.words(photo.faces.length === 1 ? t.one : t.several, { count: photo.faces.length })));
  if (photo.faces.length > 1) list.append(many);
  list.append(faces, areas, draw, hint);
  for (const face of photo.faces) paint(face.number);

  // --- areas that a person draws ---

  function place(one, x, y, w, h) {
    Object.assign(one.style, { left: `${(100 * x) / width}%`, top: `${(100 * y) / height}%`, width: `${(100 * w) / width}%`,
      height: `${(100 * h) / height}%` });
  }

  function crop([x1, y1, x2, y2]) {
    const side = 1.5 * Math.max(x2 - x1, y2 - y1);
    const left = (x1 + x2 - side) / 2;
    const top = (y1 + y2 - side) / 2;
    const thumb = make("div", { class: "fc-thumb", "aria-hidden": "true" });
    const along = (start, whole) => (whole === side ? 0 : (100 * start) / (whole - side));
    Object.assign(thumb.style, { backgroundImage: `url("${photo.url}")`,
      backgroundSize: `${(100 * width) / side}% ${(100 * height) / side}%`,
      backgroundPosition: `${along(left, width)}% ${along(top, height)}%` });
    return thumb;
  }

  function within([x, y, w, h]) {
    w = Math.max(4, Math.min(Math.round(w), width));
    h = Math.max(4, Math.min(Math.round(h), height));
    return [Math.max(0, Math.min(Math.round(x), width - w)), Math.max(0, Math.min(Math.round(y), height - h)), w, h];
  }

  function addArea(area, isFocused) {
    choice.areas.push(within(area));
    showAreas(isFocused ? choice.areas.length - 1 : null);
    share();
  }

  function removeArea(index) {
    choice.areas.splice(index, 1);
    showAreas(null);
    draw.focus();
    share();
  }

  function showAreas(focused) {
    frame.querySelectorAll(".fc-area").forEach((one) => one.remove());
    areas.replaceChildren();
    choice.areas.forEach((area, index) => {
      const label = fc.words(t.area, { number: index + 1 });
      const one = make("div", { class: "fc-area", tabindex: "0", role: "group", "aria-label": `${label}. ${t.area_keys}`,
        "data-area": index + 1 }, make("span", {}, label), make("i", { class: "fc-corner" }));
      place(one, ...area);
      const change = (next) => { choice.areas[index] = within(next); place(one, ...choice.areas[index]); };
      one.addEventListener("keydown", (event) => {
        const step = Math.max(1, Math.round((event.ctrlKey ? 0.002 : 0.01) * Math.max(width, height)));
        const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
        const [x, y, w, h] = choice.areas[index];
        if (event.key === "Delete" || event.key === "Backspace") removeArea(index);
        else if (moves[event.key]) {
          const [dx, dy] = moves[event.key];
          change(event.shiftKey ? [x, y, w + dx, h + dy] : [x + dx, y + dy, w, h]);
          share();
        } else return;
        event.preventDefault();
      });
      one.addEventListener("pointerdown", (event) => {
        event.stopPropagation();
        event.preventDefault();
        one.focus();
        const isCorner = event.target.classList.contains("fc-corner");
        const [x, y, w, h] = choice.areas[index];
        const start = at(event);
        follow(event, one, (now) => {
          const [dx, dy] = [now[0] - start[0], now[1] - start[1]];
          change(isCorner ? [x, y, w + dx, h + dy] : [x + dx, y + dy, w, h]);
        }, share);
      });
      frame.append(one);
      areas.append(make("div", { class: "fc-row fc-area-row" }, make("span", {}, `${label}: ${t.hide}`),
        make("button", { class: "fc-button", type: "button", onclick: () => removeArea(index) }, t.remove)));
      if (index === focused) one.focus();
    });
  }

  function at(event) {
    const edge = frame.getBoundingClientRect();
    return [((event.clientX - edge.left) / edge.width) * width, ((event.clientY - edge.top) / edge.height) * height];
  }

  function follow(event, target, move, end) {
    target.setPointerCapture(event.pointerId);
    const onMove = (next) => move(at(next));
    const onEnd = () => {
      target.removeEventListener("pointermove", onMove);
      target.removeEventListener("pointerup", onEnd);
      target.removeEventListener("pointercancel", onEnd);
      end();
    };
    target.addEventListener("pointermove", onMove);
    target.addEventListener("pointerup", onEnd);
    target.addEventListener("pointercancel", onEnd);
  }

  frame.addEventListener("pointerdown", (event) => {
    if (!isDrawing) return;
    event.preventDefault();
    const start = at(event);
    const ghost = make("div", { class: "fc-area fc-ghost" });
    frame.append(ghost);
    let area = null;
    follow(event, frame, (now) => {
      area = [Math.min(start[0], now[0]), Math.min(start[1], now[1]), Math.abs(now[0] - start[0]), Math.abs(now[1] - start[1])];
      place(ghost, ...area);
    }, () => {
      ghost.remove();
      setDrawing(false);
      if (area && area[2] > 0.005 * width && area[3] > 0.005 * height) addArea(area, false);
    });
  });

  showAreas(null);
  share();
}

watch("photo", build);
build();
