// A picture with boxes on it, and areas that a person draws by mouse, touch or keyboard, moves and resizes.
((wp, fc) => {
    const { createElement: el, useEffect, useRef, useState } = wp.element;
    const { __, sprintf } = wp.i18n;

    function within({ x, y, width, height }, [wide, high]) {
        const w = Math.max(4, Math.min(Math.round(width), wide));
        const h = Math.max(4, Math.min(Math.round(height), high));
        return { x: Math.max(0, Math.min(Math.round(x), wide - w)), y: Math.max(0, Math.min(Math.round(y), high - h)),
            width: w, height: h };
    }

    function placed({ x, y, width, height }, [wide, high]) {
        return { left: `${100 * x / wide}%`, top: `${100 * y / high}%`, width: `${100 * width / wide}%`,
            height: `${100 * height / high}%` };
    }

    // Where the pointer is, in pixels of the picture
    function at(event, frame, [wide, high]) {
        const edge = frame.getBoundingClientRect();
        return [(event.clientX - edge.left) / edge.width * wide, (event.clientY - edge.top) / edge.height * high];
    }

    // props: area, index, size, frame (a ref), hasFocus, onChange( area ), onRemove()
    function Area({ area, index, size, frame, hasFocus, onChange, onRemove }) {
        const one = useRef();
        const grip = useRef(null);
        useEffect(() => {
            if (hasFocus) one.current.focus();
        }, [hasFocus]);
        const change = (more) => onChange({ ...area, ...within({ ...area, ...more }, size) });

        function onKeyDown(event) {
            const step = Math.max(1, Math.round((event.ctrlKey ? 0.002 : 0.01) * Math.max(...size)));
            const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
            if (event.key === 'Delete' || event.key === 'Backspace') {
                onRemove();
            } else if (moves[event.key]) {
                const [dx, dy] = moves[event.key];
                change(event.shiftKey ? { width: area.width + dx, height: area.height + dy }
                    : { x: area.x + dx, y: area.y + dy });
            } else {
                return;
            }
            event.preventDefault();
        }

        return el('div', {
            ref: one, className: 'facecloak-area', tabIndex: 0, role: 'group', style: placed(area, size), onKeyDown,
            'data-area': index + 1,
            'aria-label': sprintf(
                /* translators: %s: "Area 1" */
                __('%s, covered. Arrow keys move it, with Shift they change its size, Delete removes it.', 'facecloak'),
                fc.areaName(index)),
            onPointerDown: (event) => {
                event.stopPropagation();
                event.preventDefault();
                one.current.focus();
                one.current.setPointerCapture(event.pointerId);
                const isCorner = event.target.classList.contains('facecloak-corner');
                grip.current = { start: at(event, frame.current, size), area, isCorner };
            },
            onPointerMove: (event) => {
                if (!grip.current) return;
                const { start, area: was, isCorner } = grip.current;
                const now = at(event, frame.current, size);
                const [dx, dy] = [now[0] - start[0], now[1] - start[1]];
                change(isCorner ? { ...was, width: was.width + dx, height: was.height + dy }
                    : { ...was, x: was.x + dx, y: was.y + dy });
            },
            onPointerUp: () => { grip.current = null; },
            onPointerCancel: () => { grip.current = null; },
        }, el('span', null, index + 1), el('i', { className: 'facecloak-corner' }));
    }

    // props: size, src, alt, tallest (CSS), areas, isShown(area), onAreas(areas, isRemoved), isDrawing, onDrawn(),
    //        focus (an index), children: boxes of faces
    fc.Frame = function Frame(props) {
        const { size, src, alt, tallest, areas, isShown, onAreas, isDrawing, onDrawn, focus, children } = props;
        const frame = useRef();
        const start = useRef(null);
        const [ghost, setGhost] = useState(null);
        const [wide, high] = size;
        const end = (isKept) => {
            const drawn = ghost;
            start.current = null;
            setGhost(null);
            onDrawn();
            if (isKept && drawn && drawn.width > 0.005 * wide && drawn.height > 0.005 * high) {
                onAreas([...areas, within(drawn, size)]);
            }
        };
        return el('div', {
            ref: frame, className: 'facecloak-frame' + (isDrawing ? ' facecloak-drawing' : ''),
            style: { aspectRatio: `${wide} / ${high}`, maxWidth: `calc(${tallest} * ${wide / high})` },
            onPointerDown: (event) => {
                if (!isDrawing) return;
                event.preventDefault();
                frame.current.setPointerCapture(event.pointerId);
                start.current = at(event, frame.current, size);
            },
            onPointerMove: (event) => {
                if (!start.current) return;
                const [x, y] = start.current;
                const [nowX, nowY] = at(event, frame.current, size);
                setGhost({
                    x: Math.min(x, nowX), y: Math.min(y, nowY), width: Math.abs(nowX - x), height: Math.abs(nowY - y),
                });
            },
            onPointerUp: () => start.current && end(true),
            onPointerCancel: () => start.current && end(false),
        },
        src ? el('img', { src, alt, draggable: false }) : el(wp.components.Spinner),
        children,
        areas.map((area, index) => (!isShown || isShown(area) || index === focus) && el(Area, {
            key: index, area, index, size, frame, hasFocus: index === focus,
            onChange: (next) => onAreas(areas.map((one, i) => (i === index ? next : one))),
            onRemove: () => onAreas(areas.filter((one, i) => i !== index), true),
        })),
        ghost && el('div', { className: 'facecloak-area facecloak-ghost', style: placed(ghost, size) }));
    };

    // The button that begins to draw, with what to do. By keyboard it makes an area in the middle, to be moved.
    // props: size, isDrawing, setDrawing( is ), onAdd( area )
    fc.DrawButton = wp.element.forwardRef(function DrawButton({ size, isDrawing, setDrawing, onAdd }, ref) {
        const [wide, high] = size;
        useEffect(() => {
            if (!isDrawing) return undefined;
            const stop = (event) => event.key === 'Escape' && setDrawing(false);
            document.addEventListener('keydown', stop);
            return () => document.removeEventListener('keydown', stop);
        }, [isDrawing]);
        return el('div', null,
            el('button', {
                ref, type: 'button', className: 'button facecloak-draw', 'aria-pressed': isDrawing,
                onClick: (event) => {
                    if (event.detail === 0) {
                        onAdd(within({ x: 0.4 * wide, y: 0.35 * high, width: 0.2 * wide, height: 0.3 * high }, size));
                    } else {
                        setDrawing(!isDrawing);
                    }
                },
            }, __('Cover another area', 'facecloak')),
            el('p', { className: 'description', 'aria-live': 'polite' },
                isDrawing ? __('Draw a box on the picture. Escape ends it.', 'facecloak') : ''));
    });

    // A box that the service found; a shortcut for the pointer, by keyboard the same is done in the list.
    // props: box: [ x1, y1, x2, y2 ], size, how, number, isLit, isShort, title, onClick()
    fc.Box = function Box({ box, size, how, number, isLit, isShort, title, onClick }) {
        const [x1, y1, x2, y2] = box;
        const isHigh = y1 < 0.06 * size[1]; // no room for words above it
        return el('button', {
            type: 'button', tabIndex: -1, 'aria-hidden': true, title, onClick, 'data-how': how, 'data-face': number,
            className: 'facecloak-face' + (isLit ? ' facecloak-on' : '') + (isHigh ? ' facecloak-high' : ''),
            style: placed({ x: x1, y: y1, width: x2 - x1, height: y2 - y1 }, size),
        }, el('span', null, isShort ? number : `${number} ${fc.labels()[how]}`));
    };
})(window.wp, window.facecloakReview);
