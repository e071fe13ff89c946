// The page for one photo: who is in it, what is done about each face, and what would be published.
((wp, fc) => {
    const { createElement: el, useEffect, useRef, useState } = wp.element;
    const { __, _n, sprintf } = wp.i18n;
    const FEW = 8; // with more faces words on the boxes would hide them
    const PARTS = { redact: 'hide', cloak: 'cloak', keep: 'keep' };

    // What is done to the bytes that are in uploads now, as the page speaks of it
    function begin(media) {
        const faces = {};
        const known = media.choices || {};
        for (const { number } of media.faces || []) {
            const how = media.state === 'suggested' ? 'keep' : (known.faces || {})[number] || known.default || 'redact';
            faces[number] = PARTS[how.split(' ')[0]];
        }
        const regions = (known.regions || []).map(({ x, y, width, height }) => ({ x, y, width, height }));
        const said = String(known.default || '');
        return { faces, regions, style: said.startsWith('redact ') ? said : media.hide };
    }

    // As the REST route takes it
    function sent({ faces, regions, style }, list) {
        const named = { cloak: 'cloak balanced', keep: 'keep', hide: style };
        const hows = {};
        for (const [number, how] of Object.entries(faces)) hows[number] = named[how];
        return { default: style, faces: hows, regions, list };
    }

    const styles = () => ({
        'redact solid': __('Solid', 'facecloak'), 'redact mosaic': __('Mosaic', 'facecloak'),
        'redact blur': __('Blur', 'facecloak'), 'redact ring': __('Ring', 'facecloak'),
    });

    // A square of the picture with the face in the middle of it, as far as there is picture around
    function Thumb({ box: [x1, y1, x2, y2], size: [wide, high], src }) {
        const side = Math.min(1.5 * Math.max(x2 - x1, y2 - y1), wide, high);
        const along = (middle, whole) => {
            const share = whole === side ? 0 : (middle - side / 2) / (whole - side);
            return 100 * Math.max(0, Math.min(1, share));
        };
        return el('div', { className: 'facecloak-thumb', 'aria-hidden': true, style: src && {
            backgroundImage: `url("${src}")`, backgroundSize: `${100 * wide / side}% ${100 * high / side}%`,
            backgroundPosition: `${along((x1 + x2) / 2, wide)}% ${along((y1 + y2) / 2, high)}%`,
        } });
    }

    const faceName = (number) => sprintf(
        /* translators: %d: number of a face */
        __('Face %d', 'facecloak'), number);

    function countWords(count) {
        if (count === 0) {
            return __('No face was found. That does not prove that there is none: look yourself, and cover what you '
                + 'see.', 'facecloak');
        }
        return sprintf(
            /* translators: %d: number of faces */
            _n('%d face was found. Did the search miss one? Cover it yourself.',
                '%d faces were found. Did the search miss one? Cover it yourself.', count, 'facecloak'), count);
    }

    const whereItIs = (media) => (media.state === 'suggested'
        ? __('The file as it was uploaded. It lies in the library, where everybody can fetch it.', 'facecloak')
        : __('The original. It lies where readers cannot fetch it, and everybody who opens it here is noted in the '
            + 'log.', 'facecloak'));

    // props: style, onStyle(style)
    function Style({ style, onStyle }) {
        return el('p', null,
            el('label', null, __('Hide with', 'facecloak'), ' ', el('select', {
                value: style, 'aria-describedby': 'facecloak-style-help',
                onChange: ({ target }) => onStyle(target.value),
            }, Object.entries(styles()).map(([value, label]) => el('option', { key: value, value }, label)))),
            el('span', { id: 'facecloak-style-help', className: 'description' },
                __('Solid lets nothing through. The others keep some colours, from which people can be guessed.',
                    'facecloak')));
    }

    // props: media, original: {url, error}, choice, onChoice(choice)
    function Chooser({ media, original, choice, onChoice }) {
        const [isDrawing, setDrawing] = useState(false);
        const [focus, setFocus] = useState(null);
        const [lit, setLit] = useState(null);
        const draw = useRef();
        const size = [media.width, media.height];
        const faces = media.faces || [];
        const count = faces.length;
        const hows = ['hide', 'keep', ...(media.may_cloak ? ['cloak'] : [])];
        const isOff = (how) => how === 'keep' && Boolean(media.why_not_keep);
        const open = hows.filter((how) => !isOff(how));
        const all = {
            hide: __('Hide all', 'facecloak'), keep: __('Keep all', 'facecloak'), cloak: __('Cloak all', 'facecloak'),
        };
        const set = (number, how) => onChoice({ ...choice, faces: { ...choice.faces, [number]: how } });
        const setAll = (how) => onChoice({
            ...choice, faces: Object.fromEntries(faces.map((face) => [face.number, how])),
        });
        const turn = (number) => set(number, open[(open.indexOf(choice.faces[number]) + 1) % open.length]);
        const setAreas = (regions, isRemoved) => {
            setFocus(null);
            onChoice({ ...choice, regions });
            if (isRemoved) draw.current.focus();
        };
        const add = (area) => {
            setAreas([...choice.regions, area]);
            setFocus(choice.regions.length);
        };
        const alt = sprintf(
            /* translators: %d: number of faces */
            _n('The original, with %d face found', 'The original, with %d faces found', count, 'facecloak'), count);

        const box = ({ number, box: where }) => el(fc.Box, {
            key: number, box: where, size, number, how: choice.faces[number], isLit: lit === number,
            isShort: count > FEW, title: `${faceName(number)}: ${fc.labels()[choice.faces[number]]}`,
            onClick: () => turn(number),
        });
        const row = ({ number, box: where }) => el('fieldset', {
            key: number, className: 'facecloak-row', 'data-face': number,
            onMouseEnter: () => setLit(number), onMouseLeave: () => setLit(null),
            onFocus: () => setLit(number), onBlur: () => setLit(null),
        },
        el('legend', null, faceName(number)),
        el(Thumb, { box: where, size, src: original.url }),
        el(fc.Choice, {
            name: `face-${number}`, label: faceName(number), value: choice.faces[number], options: hows, isOff,
            onChange: (how) => set(number, how),
        }));
        const areaRow = (area, index) => {
            const label = sprintf(
                /* translators: %s: "Area 1" */
                __('Remove %s', 'facecloak'), fc.areaName(index));
            const remove = () => setAreas(choice.regions.filter((one, i) => i !== index), true);
            return el('div', { key: index, className: 'facecloak-row facecloak-area-row' },
                el('span', null, fc.areaName(index), ': ', fc.labels().hide),
                fc.button({ 'aria-label': label, onClick: remove }, __('Remove', 'facecloak')));
        };

        return el('div', { className: 'facecloak-columns' },
            el('div', null,
                original.error ? el('p', { className: 'facecloak-box facecloak-look' }, original.error)
                    : el(fc.Frame, {
                        size, src: original.url, alt, tallest: '68vh', areas: choice.regions, onAreas: setAreas,
                        isDrawing, focus, onDrawn: () => setDrawing(false),
                    }, original.url && faces.map(box)),
                el('p', { className: 'description' }, whereItIs(media))),
            el('div', { className: 'facecloak-side' },
                el('p', null, countWords(count)),
                media.why_not_keep && count > 0 && el('p', { className: 'description' }, media.why_not_keep),
                count > 1 && el('div', {
                    className: 'facecloak-many', role: 'group', 'aria-label': __('All faces', 'facecloak'),
                }, open.map((how) => fc.button({ key: how, onClick: () => setAll(how) }, all[how]))),
                el('div', { className: 'facecloak-each' }, faces.map(row)),
                choice.regions.map(areaRow),
                !original.error && el(fc.DrawButton, { ref: draw, size, isDrawing, setDrawing, onAdd: add }),
                el(Style, { style: choice.style, onStyle: (style) => onChoice({ ...choice, style }) })));
    }

    // Of a photo whose original is gone. props: media, isBusy, onApprove(reason)
    function AsItIs({ media, isBusy, onApprove }) {
        return el('section', { className: 'facecloak-card' },
            el(fc.Compare, { before: null, after: media.now.url, size: [media.width, media.height] }),
            el(fc.Verdict, { verdict: media.verdict }),
            el('p', null, __('The original is not here, or not any more, so faces cannot be chosen. Upload the photo '
                + 'again for that.', 'facecloak')),
            media.state !== 'reviewed' && el(fc.Approve, {
                media, result: { ...media, isAsIs: true }, isBusy, onApprove,
            }));
    }

    // props: media, onDone(media), onError(words)
    fc.Photo = function Photo({ media, onDone, onError }) {
        const first = useRef(begin(media));
        const [choice, setChoice] = useState(first.current);
        const [preview, setPreview] = useState(null);
        const [isBusy, setBusy] = useState(false);
        const heading = useRef();
        const original = fc.useFile(media.has_original ? fc.path(media.id, '/original') : null);
        const shown = fc.useFile(preview && fc.path(media.id, `/preview/${preview.token}`));
        const isPristine = JSON.stringify(choice) === JSON.stringify(first.current);
        const isLooked = preview && preview.of === JSON.stringify(choice);
        const result = isLooked ? { ...preview, url: shown.url, error: shown.error }
            : isPristine && !preview ? { ...media, url: media.now.url, isAsIs: true } : null;

        useEffect(() => {
            if (isLooked && shown.url) {
                heading.current.focus();
                heading.current.scrollIntoView({ block: 'start' });
            }
        }, [shown.url]);

        async function work(asked) {
            setBusy(true);
            onError(null);
            try {
                return await wp.apiFetch(asked);
            } catch (error) {
                onError(await fc.wordsOf(error));
                return null;
            } finally {
                setBusy(false);
            }
        }

        async function look() {
            const data = { choices: sent(choice, media.list) };
            const made = await work({ path: fc.path(media.id, '/preview'), method: 'POST', data });
            if (made) {
                wp.a11y.speak(made.verdict.headline);
                setPreview({ ...made, of: JSON.stringify(choice) });
            }
        }

        async function approve(reason) {
            const what = result.isAsIs ? { as_is: true, shown: media.now.sha256 } : { token: result.token };
            const done = await work({ path: fc.path(media.id, '/approve'), method: 'POST', data: { ...what, reason } });
            if (done) onDone(done);
        }

        if (!media.has_original) {
            return el(AsItIs, { media, isBusy, onApprove: approve });
        }
        const isUntouched = result && result.isAsIs && media.state === 'suggested';
        return el(wp.element.Fragment, null,
            el('section', { className: 'facecloak-card', 'aria-labelledby': 'facecloak-who' },
                el('h2', { id: 'facecloak-who' }, __('Who can be seen', 'facecloak')),
                el(Chooser, { media, original, choice, onChoice: setChoice }),
                el('p', null,
                    fc.button({
                        className: 'button button-large' + (result ? '' : ' button-primary'), disabled: isBusy,
                        onClick: look,
                    }, __('Look at the result', 'facecloak')),
                    isBusy && el(wp.components.Spinner))),
            el('section', { className: 'facecloak-card', 'aria-labelledby': 'facecloak-result' },
                el('h2', { id: 'facecloak-result', ref: heading, tabIndex: -1 },
                    __('What readers will see', 'facecloak')),
                !result && el('p', { className: 'facecloak-box facecloak-note' },
                    __('The choices were changed. Look at the result before you approve it.', 'facecloak')),
                result && result.error && el('p', { className: 'facecloak-box facecloak-wrong' }, result.error),
                result && !result.error && el('div', { className: 'facecloak-columns' },
                    el(fc.Compare, { before: original.url, after: result.url, size: [media.width, media.height] }),
                    el('div', { className: 'facecloak-side' },
                        result.isAsIs && el('p', { className: 'description' }, isUntouched
                            ? __('This is the untouched file, as it lies in the library now.', 'facecloak')
                            : __('This is the file as it lies in the library now.', 'facecloak')),
                        el(fc.Verdict, { verdict: result.verdict }),
                        !(result.isAsIs && media.state === 'reviewed') && el(fc.Approve, {
                            key: result.token || 'as-is', media, result, isBusy, onApprove: approve,
                        })))));
    };
})(window.wp, window.facecloakReview);
