// What every part of the page for one file shares. See includes/ReviewPage.php and includes/Rest.php.
window.facecloakReview = ((wp) => {
    const { createElement: el, useEffect, useState } = wp.element;
    const { __, sprintf } = wp.i18n;

    const path = (id, rest) => `/facecloak/v1/media/${id}${rest || ''}`;

    // For players, which ask for parts of a file themselves and send no headers of ours: the nonce is in the address
    const address = (id, rest) => wp.url.addQueryArgs(
        document.getElementById('facecloak-review').dataset.rest + path(id, rest).slice(1),
        { _wpnonce: wp.apiFetch.nonceMiddleware.nonce });

    // What went wrong, in words for people. Asked for unparsed, api-fetch throws the response itself.
    async function wordsOf(error) {
        const said = error && typeof error.json === 'function' ? await error.json().catch(() => null) : error;
        return (said && said.message)
            || __('The site does not answer. Nothing is known to have been done.', 'facecloak');
    }

    // {url, error} of a file that only this page may show. Fetched with the nonce in a header, so that the addresses
    // of originals work for nobody else and nothing of them stays in the browser.
    function useFile(from) {
        const [file, setFile] = useState({ url: null, error: null });
        useEffect(() => {
            let url = null;
            let isWanted = true;
            setFile({ url: null, error: null });
            if (!from) return undefined;
            wp.apiFetch({ path: from, parse: false })
                .then((answer) => answer.blob())
                .then((blob) => {
                    if (!isWanted) return;
                    url = URL.createObjectURL(blob);
                    setFile({ url, error: null });
                })
                .catch(async (error) => {
                    const words = await wordsOf(error);
                    if (isWanted) setFile({ url: null, error: words });
                });
            return () => {
                isWanted = false;
                if (url) URL.revokeObjectURL(url);
            };
        }, [from]);
        return file;
    }

    // 75.25 -> "1:15.3"
    function time(seconds) {
        const tenths = Math.round(10 * seconds);
        const part = String(Math.floor((tenths % 600) / 10)).padStart(2, '0');
        return `${Math.floor(tenths / 600)}:${part}.${tenths % 10}`;
    }

    const labels = () => ({
        hide: __('Hide', 'facecloak'),
        keep: __('Keep', 'facecloak'),
        cloak: __('Cloak', 'facecloak'),
    });

    // One choice out of some, as buttons side by side; radio buttons to keyboards and screen readers.
    // props: name, label, value, options: [ how ], isOff( how ), onChange( how )
    function Choice({ name, label, value, options, isOff, onChange }) {
        return el('div', { className: 'facecloak-hows', role: 'radiogroup', 'aria-label': label },
            options.map((how) => el('label', { key: how, className: 'facecloak-how', 'data-how': how },
                el('input', {
                    type: 'radio', name, value: how, checked: value === how, disabled: isOff(how),
                    onChange: () => onChange(how),
                }),
                el('span', null, labels()[how]))));
    }

    const areaName = (index) => sprintf(
        /* translators: %d: number of an area that a person drew */
        __('Area %d', 'facecloak'), index + 1);

    const button = (props, ...children) => el('button', { type: 'button', className: 'button', ...props }, ...children);

    return { button, path, address, wordsOf, useFile, time, labels, Choice, areaName };
})(window.wp);
