// The page for one file: what it is, the part for photos or for clips, and what comes after.
((wp, fc) => {
    const { createElement: el, useEffect, useRef, useState } = wp.element;
    const { __, sprintf } = wp.i18n;

    // props: media, list (the address of the list)
    function Done({ media, list }) {
        const next = useRef();
        useEffect(() => next.current.focus(), []);
        return el('div', { className: 'facecloak-box facecloak-good facecloak-done', role: 'status' },
            el('strong', null, __('Approved. It can be published now.', 'facecloak')),
            el('p', null,
                media.next ? el('a', { ref: next, className: 'button button-primary', href: media.next.url }, sprintf(
                    /* translators: %d: number of files */
                    __('Next file (%d to review)', 'facecloak'), media.count))
                    : el('a', { ref: next, className: 'button button-primary', href: list },
                        __('Nothing else waits: back to the list', 'facecloak'))));
    }

    const POLL_MS = 5000;

    // Of what nobody has looked at. props: words, isBusy, onLook()
    function Unknown({ words, isBusy, onLook }) {
        return el('section', { className: 'facecloak-card' },
            el('p', { className: 'facecloak-box facecloak-look' }, el('strong', null, words)),
            fc.button({ className: 'button button-primary', disabled: isBusy, onClick: onLook },
                __('Have it looked at now', 'facecloak')),
            isBusy && el(wp.components.Spinner));
    }

    // props: media, isBusy, onRetry(), onLook()
    function Waiting({ media, isBusy, onRetry, onLook }) {
        useEffect(() => {
            if (media.state !== 'waiting') return undefined;
            const timer = setTimeout(onLook, POLL_MS);
            return () => clearTimeout(timer);
        }, [media]);
        // What is in work would only be begun again
        const isStuck = media.state === 'failed' || media.attempts > 0 || Boolean(media.error);
        return el('section', { className: 'facecloak-card' },
            el('p', { className: 'facecloak-box facecloak-look' }, el('strong', null, media.words)),
            media.error && el('p', null, media.error),
            !isStuck && el('p', null,
                __('It is in work, or next. This page shows it when it is done.', 'facecloak')),
            isStuck && media.next_try && el('p', null, sprintf(
                /* translators: %s: date and time */
                __('It is tried again by itself after %s.', 'facecloak'), media.next_try)),
            el('p', null, __('The original lies in the quarantine, where nobody can fetch it. Posts that use this file '
                + 'cannot be published.', 'facecloak')),
            isStuck && fc.button({ className: 'button button-primary', disabled: isBusy, onClick: onRetry },
                __('Try again now', 'facecloak')),
            isBusy && el(wp.components.Spinner));
    }

    // props: media, isBusy, onTakeBack()
    function Reviewed({ media, isBusy, onTakeBack }) {
        const by = media.reviewed && media.reviewed.by;
        return el('div', { className: 'facecloak-box facecloak-good' },
            !media.reviewed ? media.words : sprintf(
                /* translators: 1: name of a person, 2: date and time */
                __('Approved by %1$s on %2$s.', 'facecloak'), by || __('the plugin itself', 'facecloak'),
                media.reviewed.at),
            media.reviewed && media.reviewed.reason && el(wp.element.Fragment, null,
                ' ', __('Reason:', 'facecloak'), ' ', el('q', null, media.reviewed.reason)),
            el('p', null, fc.button({
                disabled: isBusy, onClick: onTakeBack, 'aria-describedby': 'facecloak-take-back-help',
            }, __('Take the approval back', 'facecloak')), ' ',
            el('span', { id: 'facecloak-take-back-help' },
                __('Posts that are public with it already stay as they are.', 'facecloak'))));
    }

    // The menu was written when the page was loaded
    function countInMenu(count) {
        const bubble = document.querySelector('#adminmenu a[href$="page=facecloak-review"] .awaiting-mod');
        if (!bubble) return;
        bubble.querySelector('[aria-hidden]').textContent = count;
        bubble.hidden = count === 0;
    }

    function App({ id, list }) {
        const [media, setMedia] = useState(null);
        const [error, setError] = useState(null);
        const [isDone, setDone] = useState(false);
        const [isBusy, setBusy] = useState(false);
        const fail = (words) => {
            setError(words);
            if (words) wp.a11y.speak(words, 'assertive');
        };

        async function load(asked) {
            setBusy(true);
            try {
                setMedia(await wp.apiFetch(asked));
                fail(null);
            } catch (problem) {
                if (problem.code === 'facecloak_unknown') setMedia({ state: 'unknown', words: problem.message });
                else fail(await fc.wordsOf(problem));
            }
            setBusy(false);
        }
        const post = (what) => load({ path: fc.path(id, what), method: 'POST' });

        useEffect(() => {
            load({ path: fc.path(id) });
        }, []);

        const isUnknown = media && ['unknown', 'unchecked'].includes(media.state);
        const isWaiting = media && ['waiting', 'failed'].includes(media.state);
        return el(wp.element.Fragment, null,
            error && el('div', { className: 'facecloak-box facecloak-wrong facecloak-error', role: 'alert' }, error),
            !media && !error && el(wp.components.Spinner),
            isUnknown && el(Unknown, { words: media.words, isBusy, onLook: () => post('/retry') }),
            media && media.created && el('p', { className: 'facecloak-facts' }, sprintf(
                /* translators: 1: date and time, 2: name of a person */
                __('Uploaded %1$s by %2$s.', 'facecloak'), media.created, media.uploader), ' ',
            media.state !== 'reviewed' && !isWaiting && !isUnknown && media.words),
            isDone && el(Done, { media, list }),
            media && media.state === 'reviewed' && !isDone && el(Reviewed, {
                media, isBusy, onTakeBack: () => post('/look-again'),
            }),
            isWaiting && el(Waiting, { media, isBusy, onRetry: () => post('/retry'),
                onLook: () => wp.apiFetch({ path: fc.path(id) }).then(setMedia, () => setMedia({ ...media })) }),
            media && !isUnknown && !isWaiting && !isDone && el(media.kind === 'clip' ? fc.Clip : fc.Photo, {
                key: media.now.sha256 + media.state, media, onError: fail, onLook: () => post('/retry'),
                onDone: (now) => {
                    setMedia(now);
                    setDone(true);
                    countInMenu(now.count);
                    fail(null);
                    window.scrollTo(0, 0);
                },
            }));
    }

    const root = document.getElementById('facecloak-review');
    if (root) {
        const app = el(App, { id: Number(root.dataset.media), list: root.dataset.list });
        if (wp.element.createRoot) wp.element.createRoot(root).render(app);
        else wp.element.render(app, root);
    }
})(window.wp, window.facecloakReview);
