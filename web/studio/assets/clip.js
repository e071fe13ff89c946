// A clip to decide about: its pictures by time, one choice per track, areas for a time. See video.py.
// props.clip: {key, size: [w, h], end_s, tracks: [{number, from_s, to_s, risks, pictures: [url]}],
//              moments: [{seconds, why, url, boxes: [{track, box}]}]}
// props.value: {key, tracks: {"1": "hide"}, areas: [{x, y, width, height, from_s, to_s}]}, seconds null: to the end
const fc = window.facecloak;
const make = fc.make;
const root = element.querySelector(".fc-clip");
const t = words;
const HOWS = ["hide", "keep"];
let clip = null;
let choice = null; // what props.value will be
let here = 0; // which moment is shown

function share() {
  props.value = JSON.parse(JSON.stringify(choice));
}

// 75.25 -> "1:15.3"
function time(seconds) {
  const tenths = Math.round(10 * seconds);
  return `${Math.floor(tenths / 600)}:${String(Math.floor((tenths % 600) / 10)).padStart(2, "0")}.${tenths % 10}`;
}

function build() {
  clip = props.clip;
  root.replaceChildren();
  if (!clip || !clip.key) return;
  const kept = props.value && props.value.key === clip.key ? props.value : {};
  choice = { key: clip.key, tracks: {}, areas: (kept.areas || []).map((area) => ({ ...area })) };
  for (const track of clip.tracks) choice.tracks[track.number] = (kept.tracks || {})[track.number] || "hide";
  here = 0;

  const [width, height] = clip.size;
  const picture = make("img", { draggable: "false" });
  const frame = make("div", { class: "fc-frame", "data-testid": "clip-frame" }, picture);
  frame.style.aspectRatio = `${width} / ${height}`;
  frame.style.maxWidth = `calc(62vh * ${width / height})`;
  const slider = make("input", { type: "range", class: "fc-slider", min: "0", max: String(clip.moments.length - 1), value: "0",
    step: "1", "aria-label": t.slider, oninput: () => show(Number(slider.value)) });
  const clock = make("span", { class: "fc-clock" });
  const why = make("p", { class: "fc-why", "aria-live": "polite" });
  const left = make("div", { class: "fc-picture" }, frame, make("div", { class: "fc-bar" }, slider, clock), why);
  const list = make("div", { class: "fc-list" });
  root.append(left, list);

  // --- the picture at a moment ---

  function show(index) {
    here = Math.max(0, Math.min(index, clip.moments.length - 1));
    const moment = clip.moments[here];
    const label = fc.words(t.at, { time: time(moment.seconds), end: time(clip.end_s) });
    slider.value = String(here);
    slider.setAttribute("aria-valuetext", label);
    clock.textContent = label;
    why.textContent = moment.why || "";
    picture.src = moment.url;
    picture.alt = fc.words(t.picture, { time: time(moment.seconds), count: moment.boxes.length });
    frame.querySelectorAll(".fc-face").forEach((one) => one.remove());
    for (const { track, box } of moment.boxes) {
      const [x1, y1, x2, y2] = box;
      // A shortcut for the pointer; by keyboard the same is done in the list
      const one = make("button", { class: "fc-face", type: "button", tabindex: "-1", "aria-hidden": "true", "data-track": track,
        onclick: () => { set(track, choice.tracks[track] === "hide" ? "keep" : "hide"); share(); } }, make("span", {}));
      place(one, x1, y1, x2 - x1, y2 - y1);
      frame.append(one);
      paint(track);
    }
    showAreas(null);
  }

  function showNearest(seconds) {
    const gaps = clip.moments.map((moment) => Math.abs(moment.seconds - seconds));
    show(gaps.indexOf(Math.min(...gaps)));
  }

  const buttons = make("div", { class: "fc-many" });
  left.append(buttons);
  const risky = clip.moments.flatMap((moment, index) => (moment.why ? [index] : []));
  if (risky.length) {
    buttons.append(make("button", { class: "fc-button fc-risky", type: "button", onclick: () => {
      show(risky.find((index) => index > here) ?? risky[0]);
    } }, fc.words(t.risky, { count: risky.length })));
    slider.setAttribute("list", `moments-${clip.key}`);
    slider.after(make("datalist", { id: `moments-${clip.key}` }, ...risky.map((index) => make("option", { value: String(index) }))));
  }

  // --- tracks ---

  const name = (number) => `track-${clip.key}-${number}`;
  const paint = (number) => {
    const how = choice.tracks[number];
    for (const box of frame.querySelectorAll(`.fc-face[data-track="${number}"]`)) {
      box.dataset.how = how;
      box.title = `${fc.words(t.track, { number })}: ${t[how]}`;
      box.querySelector("span").textContent = how === "hide" ? String(number) : `${number} ${t[how]}`; // crowds have many
    }
    const radio = root.querySelector(`input[name="${name(number)}"][value="${how}"]`);
    if (radio) radio.checked = true;
  };
  const set = (number, how) => { choice.tracks[number] = how; paint(number); };
  const rows = make("div", { class: "fc-each", role: "group", "aria-label": t.tracks });
  for (const track of clip.tracks) {
    const row = make("fieldset", { class: "fc-track", "data-track": track.number },
      make("legend", {}, fc.words(t.track, { number: track.number })));
    const pictures = make("button", { class: "fc-sights", type: "button", onclick: () => showNearest(track.from_s),
      "aria-label": fc.words(t.show, { number: track.number }) });
    for (const url of track.pictures) pictures.append(make("img", { src: url, alt: "", loading: "lazy" }));
    const hows = make("div", { class: "fc-hows" });
    for (const how of HOWS) {
      hows.append(make("label", { class: "fc-how", "data-how": how },
        make("input", { type: "radio", name: name(track.number), value: how,
          onchange: () => { set(track.number, how); share(); } }),
        make("span", {}, t[how])));
    }
    row.append(make("small", { class: "fc-span" }, fc.words(t.span, { from: time(track.from_s), to: time(track.to_s) })),
      pictures, hows);
    if (track.risks.length) row.append(make("p", { class: "fc-risk" }, track.risks.join("; ")));
    rows.append(row);
  }
  const count = clip.tracks.length;
  list.append(make("p", { class: "fc-count" }, count === 0 ? t.none : fc.words(count === 1 ? t.one : t.several, { count })));
  if (count) list.append(make("p", { class: "fc-help" }, t.careful), rows);

  // --- areas that a person draws ---

  let isDrawing = false;
  const areas = make("div", { class: "fc-areas" });
  const hint = make("p", { class: "fc-help", "aria-live": "polite" });
  const draw = make("button", { class: "fc-button fc-draw", type: "button", "aria-pressed": "false", onclick: (event) => {
    if (event.detail === 0) addArea([0.4 * width, 0.35 * height, 0.2 * width, 0.3 * height], true); // by keyboard
    else setDrawing(!isDrawing);
  } }, t.draw);
  buttons.append(draw);
  left.append(hint, areas);

  function setDrawing(on) {
    isDrawing = on;
    draw.setAttribute("aria-pressed", String(on));
    frame.classList.toggle("fc-drawing", on);
    hint.textContent = on ? t.draw_hint : "";
  }

  function place(one, x, y, w, h) {
    Object.assign(one.style, { left: `${(100 * x) / width}%`, top: `${(100 * y) / height}%`, width: `${(100 * w) / width}%`,
      height: `${(100 * h) / height}%` });
  }

  function within([x, y, w, h]) {
    w = Math.max(4, Math.min(Math.round(w), width));
    h = Math.max(4, Math.min(Math.round(h), height));
    return [Math.max(0, Math.min(Math.round(x), width - w)), Math.max(0, Math.min(Math.round(y), height - h)), w, h];
  }

  function addArea(box, isFocused) {
    const [x, y, w, h] = within(box);
    choice.areas.push({ x, y, width: w, height: h, from_s: 0, to_s: null });
    listAreas();
    showAreas(isFocused ? choice.areas.length - 1 : null);
    share();
  }

  function removeArea(index) {
    choice.areas.splice(index, 1);
    listAreas();
    showAreas(null);
    draw.focus();
    share();
  }

  function listAreas() {
    areas.replaceChildren();
    choice.areas.forEach((area, index) => {
      const label = fc.words(t.area, { number: index + 1 });
      const seconds = (key, empty) => {
        const input = make("input", { type: "number", min: "0", max: clip.end_s.toFixed(1), step: "0.1", class: "fc-seconds",
          placeholder: key === "to_s" ? t.end : null, value: area[key] === null ? empty : String(area[key]), onchange: () => {
            const said = Number(input.value);
            const isNone = input.value === "" || !Number.isFinite(said) || said < 0;
            area[key] = isNone ? (key === "to_s" ? null : 0) : said;
            // What ends before it begins covers nothing, which nobody means
            if (area.to_s !== null && area.to_s <= area.from_s) area.to_s = null;
            listAreas();
            showAreas(null);
            share();
          } });
        return input;
      };
      const at = (key, words) => make("button", { class: "fc-button fc-small", type: "button", onclick: () => {
        const now = clip.moments[here].seconds;
        area[key] = Math.round(10 * now) / 10;
        if (area.to_s !== null && area.to_s <= area.from_s) area[key === "from_s" ? "to_s" : "from_s"] = key === "from_s" ? null : 0;
        if (area.to_s !== null && area.to_s <= area.from_s) area.to_s = null;
        listAreas();
        showAreas(null);
        share();
      } }, words);
      areas.append(make("fieldset", { class: "fc-track fc-area-times", "data-area": index + 1 }, make("legend", {}, label),
        make("label", {}, `${t.from} `, seconds("from_s", "0")), make("label", {}, `${t.to} `, seconds("to_s", "")),
        make("div", { class: "fc-many" }, at("from_s", t.starts), at("to_s", t.ends),
          make("button", { class: "fc-button fc-small", type: "button", onclick: () => removeArea(index) }, t.remove))));
    });
  }

  function showAreas(focused) {
    frame.querySelectorAll(".fc-area").forEach((one) => one.remove());
    const now = clip.moments.length ? clip.moments[here].seconds : 0;
    choice.areas.forEach((area, index) => {
      const isOn = area.from_s <= now && (area.to_s === null || now < area.to_s);
      if (!isOn && index !== focused) return;
      const label = fc.words(t.area_name, { number: index + 1 });
      const one = make("div", { class: "fc-area", tabindex: "0", role: "group", "aria-label": `${label}. ${t.area_keys}`,
        "data-area": index + 1 }, make("span", {}, fc.words(t.area, { number: index + 1 })), make("i", { class: "fc-corner" }));
      const box = () => [area.x, area.y, area.width, area.height];
      const change = (next) => {
        [area.x, area.y, area.width, area.height] = within(next);
        place(one, ...box());
      };
      place(one, ...box());
      one.addEventListener("keydown", (event) => {
        const step = Math.max(1, Math.round((event.ctrlKey ? 0.002 : 0.01) * Math.max(width, height)));
        const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
        const [x, y, w, h] = box();
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
        const [x, y, w, h] = box();
        const start = at(event);
        follow(event, one, (now) => {
          const [dx, dy] = [now[0] - start[0], now[1] - start[1]];
          change(isCorner ? [x, y, w + dx, h + dy] : [x + dx, y + dy, w, h]);
        }, share);
      });
      frame.append(one);
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

  for (const track of clip.tracks) paint(track.number);
  listAreas();
  show(risky.length ? risky[0] : 0);
  share();
}

watch("clip", build);
build();
