// Areas that a person draws on a picture by mouse, touch or keyboard, moves and resizes. See faces.js and clip.js.
// on: {frame, size: [w, h], words, share(), boxes(): [[x, y, w, h]], isShown(index), name(index), add(box),
//      change(index, box), remove(index), list()}; list is called when there is one more or one less
// -> {draw: a button, hint: what to do, place(one, x, y, w, h), show(focused or null), remove(index)}
window.facecloak.drawing = (on) => {
  const fc = window.facecloak;
  const make = fc.make;
  const t = on.words;
  const frame = on.frame;
  const [width, height] = on.size;
  let isDrawing = false;

  const draw = make("button", { class: "fc-button fc-draw", type: "button", "aria-pressed": "false", onclick: (event) => {
    if (event.detail === 0) add([0.4 * width, 0.35 * height, 0.2 * width, 0.3 * height], true); // by keyboard
    else setDrawing(!isDrawing);
  } }, t.draw);
  const hint = make("p", { class: "fc-help", "aria-live": "polite" });

  function setDrawing(is) {
    isDrawing = is;
    draw.setAttribute("aria-pressed", String(is));
    frame.classList.toggle("fc-drawing", is);
    hint.textContent = is ? t.draw_hint : "";
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

  function add(box, isFocused) {
    on.add(within(box));
    on.list();
    show(isFocused ? on.boxes().length - 1 : null);
    on.share();
  }

  function remove(index) {
    on.remove(index);
    on.list();
    show(null);
    draw.focus();
    on.share();
  }

  function show(focused) {
    frame.querySelectorAll(".fc-area").forEach((one) => one.remove());
    on.boxes().forEach((box, index) => {
      if (!on.isShown(index) && index !== focused) return;
      const one = make("div", { class: "fc-area", tabindex: "0", role: "group", "aria-label": `${on.name(index)}. ${t.area_keys}`,
        "data-area": index + 1 }, make("span", {}, fc.words(t.area, { number: index + 1 })), make("i", { class: "fc-corner" }));
      place(one, ...box);
      const change = (next) => {
        on.change(index, within(next));
        place(one, ...on.boxes()[index]);
      };
      one.addEventListener("keydown", (event) => {
        const step = Math.max(1, Math.round((event.ctrlKey ? 0.002 : 0.01) * Math.max(width, height)));
        const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
        const [x, y, w, h] = on.boxes()[index];
        if (event.key === "Delete" || event.key === "Backspace") remove(index);
        else if (moves[event.key]) {
          const [dx, dy] = moves[event.key];
          change(event.shiftKey ? [x, y, w + dx, h + dy] : [x + dx, y + dy, w, h]);
          on.share();
        } else return;
        event.preventDefault();
      });
      one.addEventListener("pointerdown", (event) => {
        event.stopPropagation();
        event.preventDefault();
        one.focus();
        const isCorner = event.target.classList.contains("fc-corner");
        const [x, y, w, h] = on.boxes()[index];
        const start = at(event);
        follow(event, one, (now) => {
          const [dx, dy] = [now[0] - start[0], now[1] - start[1]];
          change(isCorner ? [x, y, w + dx, h + dy] : [x + dx, y + dy, w, h]);
        }, on.share);
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
      if (area && area[2] > 0.005 * width && area[3] > 0.005 * height) add(area, false);
    });
  });

  return { draw, hint, place, show, remove };
};
