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

  const areaName = (index) => fc.words(t.area, { number: index + 1 });
  const drawing = fc.drawing({ frame, size: photo.size, words: t, share, boxes: () => choice.areas, isShown: () => true,
    name: areaName, add: (box) => choice.areas.push(box), change: (index, box) => { choice.areas[index] = box; },
    remove: (index) => choice.areas.splice(index, 1), list: listAreas });

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
    drawing.place(box, x1, y1, x2 - x1, y2 - y1);
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
  list.append(make("p", { class: "fc-count" }, photo.faces.length === 0 ? t.none :
    fc.words(photo.faces.length === 1 ? t.one : t.several, { count: photo.faces.length })));
  if (photo.faces.length > 1) list.append(many);
  list.append(faces, areas, drawing.draw, drawing.hint);
  for (const face of photo.faces) paint(face.number);

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

  function listAreas() {
    areas.replaceChildren(...choice.areas.map((_, index) => make("div", { class: "fc-row fc-area-row" },
      make("span", {}, `${areaName(index)}: ${t.hide}`),
      make("button", { class: "fc-button", type: "button", onclick: () => drawing.remove(index) }, t.remove))));
  }

  listAreas();
  drawing.show(null);
  share();
}

watch("photo", build);
build();
