// What would be published: before and after, the verdict in words, and the approval.
((wp, fc) => {
    const { createElement: el, useState } = wp.element;
    const { __, _n, sprintf } = wp.i18n;

    const tag = (which, words) => el('span', {
        className: `facecloak-tag facecloak-tag-${which}`, 'aria-hidden': true,
    }, words);

    // props: before (null: there is none), after, size
    fc.Compare = function Compare({ before, after, size }) {
        const [split, setSplit] = useState(0); // the whole result first: it is what has to be looked at
        const [isLarge, setLarge] = useState(false);
        const [wide, high] = size;
        const drag = (event) => {
            if (!event.buttons || !before) return;
            const edge = event.currentTarget.getBoundingClientRect();
            setSplit(Math.max(0, Math.min(100, Math.round(100 * (event.clientX - edge.left) / edge.width))));
        };
        const style = { aspectRatio: `${wide} / ${high}`, '--facecloak-split': `${before ? split : 0}%`,
            ...(isLarge ? { width: `${wide}px`, maxWidth: 'none' } : { maxWidth: `calc(70vh * ${wide / high})` }) };
        const picture = (src, alt, className) => el('img', { src, alt, className, draggable: false });
        return el('div', { className: 'facecloak-compare' },
            el('div', { className: 'facecloak-scroller' },
                el('div', {
                    className: 'facecloak-frame facecloak-pair', style, onPointerDown: drag, onPointerMove: drag,
                },
                after ? picture(after, __('After: as it will be published', 'facecloak')) : el(wp.components.Spinner),
                before && picture(before, __('Before: the original', 'facecloak'), 'facecloak-before'),
                before && split > 0 && el('i', { className: 'facecloak-line' }),
                before && split > 0 && tag('before', __('Before', 'facecloak')),
                split < 100 && tag('after', __('After', 'facecloak')))),
            el('div', { className: 'facecloak-bar' },
                before && el('span', { 'aria-hidden': true }, __('Compare with the original', 'facecloak')),
                before && el('input', {
                    type: 'range', min: 0, max: 100, step: 1, value: split, className: 'facecloak-slider',
                    'aria-label': __('Show more of before or of after', 'facecloak'),
                    'aria-valuetext': sprintf(
                        /* translators: %d: per cent */
                        __('%d %% before', 'facecloak'), split),
                    onChange: ({ target }) => setSplit(Number(target.value)),
                }),
                fc.button({ 'aria-pressed': isLarge, onClick: () => setLarge(!isLarge) },
                    __('Full size', 'facecloak'))));
    };

    const FEW = 8;

    // In a crowd, faces of which the same is to be said share one line
    function lines(faces) {
        if (faces.length <= FEW) return faces.map((face) => ({ ...face, key: face.name }));
        const groups = new Map();
        for (const face of faces) {
            const key = [face.kind, face.words, face.detail].join();
            groups.set(key, [...(groups.get(key) || []), face]);
        }
        return [...groups].map(([key, same]) => ({ ...same[0], key, name: same.length === 1 ? same[0].name : sprintf(
            /* translators: %d: number of faces and areas */
            _n('%d place', '%d places', same.length, 'facecloak'), same.length) }));
    }

    // props: verdict: {kind, headline, caution, faces, notes}
    fc.Verdict = function Verdict({ verdict }) {
        if (!verdict) {
            return el('p', { className: 'facecloak-box facecloak-look' },
                __('Nothing is known about the faces in this file.', 'facecloak'));
        }
        return el('div', { className: 'facecloak-verdict' },
            el('div', { className: `facecloak-box facecloak-${verdict.kind}` },
                el('strong', null, verdict.headline), ' ', el('span', null, verdict.caution)),
            verdict.faces.length > 0 && el('ul', { className: 'facecloak-verdicts' }, lines(verdict.faces).map((face) =>
                el('li', { key: face.key, className: `facecloak-${face.kind}` },
                    el('strong', null, face.name, ': '), face.words, face.detail && el('small', null, face.detail)))),
            (verdict.notes.length > 0 || verdict.words) && el('details', null,
                el('summary', null, __('What the service says, and what this does not say', 'facecloak')),
                verdict.words && el('p', null, verdict.words),
                el('ul', null, verdict.notes.map((note, i) => el('li', { key: i }, note)))));
    };

    // props: media, result: {why_reason, disclosure}, isBusy, mustWatch (words to agree to, or none), onApprove(reason)
    fc.Approve = function Approve({ media, result, isBusy, mustWatch, onApprove }) {
        const [reason, setReason] = useState('');
        const [hasWatched, setWatched] = useState(false);
        const isNeeded = Boolean(result.why_reason);
        const isOff = isBusy || (isNeeded && reason.trim() === '') || Boolean(mustWatch && !hasWatched);
        const isThere = result.disclosure && media.caption.includes(result.disclosure);
        return el('div', { className: 'facecloak-approve' },
            el('p', null,
                el('label', { htmlFor: 'facecloak-reason' }, el('strong', null, isNeeded
                    ? __('Reason (needed)', 'facecloak') : __('Reason (if you like)', 'facecloak'))),
                el('textarea', {
                    id: 'facecloak-reason', rows: 2, value: reason, required: isNeeded, maxLength: 1000,
                    'aria-describedby': 'facecloak-reason-help', onChange: ({ target }) => setReason(target.value),
                }),
                el('span', { id: 'facecloak-reason-help', className: 'description' },
                    isNeeded ? `${result.why_reason} ` : '',
                    __('It is written to the log with your name.', 'facecloak'))),
            el('p', null, !result.disclosure ? __('No line is added to the caption.', 'facecloak') : [
                isThere ? __('This line stands in the caption already:', 'facecloak')
                    : __('This line is added to the caption, for readers:', 'facecloak'),
                ' ', el('q', { key: 'line', className: 'facecloak-disclosure' }, result.disclosure)]),
            mustWatch && el('p', null, el('label', null,
                el('input', {
                    type: 'checkbox', checked: hasWatched, onChange: ({ target }) => setWatched(target.checked),
                }), ' ', mustWatch)),
            fc.button({
                className: 'button button-primary button-large', disabled: isOff, onClick: () => onApprove(reason),
            }, result.isAsIs ? __('Approve as it is', 'facecloak') : __('Approve', 'facecloak')));
    };
})(window.wp, window.facecloakReview);
