/**
 * The pre-publish panel of the block editor, and the lock on its publish button while media are not reviewed.
 *
 * The server decides, here and again when the post is saved; this only says so in time. Plain JavaScript, no build.
 */
(function (wp) {
    'use strict';

    const el = wp.element.createElement;
    const { useEffect, useRef, useState, useCallback } = wp.element;
    const { __, _n, sprintf } = wp.i18n;
    const { useSelect, useDispatch } = wp.data;
    const LOCK = 'facecloak';
    const NOTICE = 'facecloak-gate';
    const PAUSE_MS = 800;
    const PUBLIC = ['publish', 'future', 'private'];
    // Newer editors have moved these
    const PrePublish = (wp.editor && wp.editor.PluginPrePublishPanel) || wp.editPost.PluginPrePublishPanel;

    function ask(question) {
        return wp.apiFetch({ path: '/facecloak/v1/gate', method: 'POST', data: question });
    }

    /** What the server says about the post as it is in the editor: null while it has not answered. */
    function useGate(edited, featured, post) {
        const [answer, setAnswer] = useState(null);
        const [isAsking, setAsking] = useState(false);
        const number = useRef(0);
        const look = useCallback(function () {
            const mine = ++number.current;
            setAsking(true);
            // Writing out the whole text takes time, so it is not done at every letter
            const content = wp.data.select('core/editor').getEditedPostContent() || '';
            return ask({ content: content, featured: featured || 0, post: post || 0 }).catch(function (error) {
                // Not knowing is no reason to open
                return {
                    is_closed: true, policy: '', found: [{
                        attachment: 0, state: 'error', review: '', label: '',
                        title: __('The check itself', 'facecloak'),
                        words: sprintf(
                            /* translators: %s: error message */
                            __('It failed, so nothing can be said about the media of this post (%s).', 'facecloak'),
                            (error && error.message) || '?'
                        ),
                    }],
                };
            }).then(function (found) {
                if (mine === number.current) {
                    setAnswer(found);
                    setAsking(false);
                }
            });
        }, [edited, featured, post]);
        useEffect(function () {
            const timer = setTimeout(look, PAUSE_MS);
            return function () {
                clearTimeout(timer);
            };
        }, [look]);
        // Reviewing happens in another window, and who comes back wants to publish
        useEffect(function () {
            window.addEventListener('focus', look);
            return function () {
                window.removeEventListener('focus', look);
            };
        }, [look]);
        return [answer, isAsking, look];
    }

    function useEditor() {
        return useSelect(function (select) {
            const editor = select('core/editor');
            const page = select('core/edit-post');
            const ofEither = function (name, otherwise) {
                const from = editor[name] ? editor : page;
                return from && from[name] ? from[name]() : otherwise;
            };
            const now = editor.getCurrentPost() || {};
            return {
                // Another object after every change
                edited: editor.getCurrentPostId() ? select('core').getEditedEntityRecord(
                    'postType', editor.getCurrentPostType(), editor.getCurrentPostId()) : null,
                featured: editor.getEditedPostAttribute('featured_media'),
                post: editor.getCurrentPostId(),
                mayPublish: !!(now._links && now._links['wp:action-publish']),
                isPublic: PUBLIC.indexOf(now.status) >= 0
                    || PUBLIC.indexOf(editor.getEditedPostAttribute('status')) >= 0,
                isLive: PUBLIC.indexOf(now.status) >= 0,
                isPanelOpen: ofEither('isPublishSidebarOpened', true),
                hasPanel: ofEither('isPublishSidebarEnabled', true),
            };
        }, []);
    }

    function headline(answer) {
        const count = answer.found.length;
        if (answer.is_closed) {
            return sprintf(
                /* translators: %d: number of pictures and clips */
                _n(
                    'This cannot be published: %d picture or clip is not reviewed.',
                    'This cannot be published: %d pictures or clips are not reviewed.',
                    count,
                    'facecloak'
                ),
                count
            );
        }
        if (count > 0) {
            return sprintf(
                /* translators: %d: number of pictures and clips */
                _n(
                    '%d picture or clip is not reviewed. You can publish all the same.',
                    '%d pictures or clips are not reviewed. You can publish all the same.',
                    count,
                    'facecloak'
                ),
                count
            );
        }
        return answer.policy === 'suggest'
            ? __('Nothing was found to look at. Detection misses faces.', 'facecloak')
            : __('All pictures and clips that were found in it are reviewed.', 'facecloak');
    }

    function Found(props) {
        const one = props.one;
        return el('li', { className: 'facecloak-found' },
            el('strong', null, one.title), ' ',
            one.label ? el('span', { className: 'facecloak-state facecloak-' + one.state }, one.label) : null,
            el('br'), one.words,
            one.review ? el('div', null, el('a', { href: one.review, target: '_blank', rel: 'noopener' },
                __('Review (opens in a new tab)', 'facecloak'))) : null
        );
    }

    function Panel() {
        const editor = useEditor();
        const [answer, isAsking, look] = useGate(editor.edited, editor.featured, editor.post);
        const { lockPostSaving, unlockPostSaving } = useDispatch('core/editor');
        const { createErrorNotice, removeNotice } = useDispatch('core/notices');
        const isClosed = !!answer && answer.is_closed;
        // Until the answer is there, and of what is written now, nothing is published
        const isUnsure = !answer || isAsking;
        // The lock stops drafts from being saved with the keyboard as well, so it is there only when it is needed
        const isPublishing = editor.isPublic || editor.isPanelOpen || !editor.hasPanel;
        const isLocked = editor.mayPublish && isPublishing && (isClosed || (isUnsure && !editor.isLive));

        useEffect(function () {
            if (isLocked) {
                lockPostSaving(LOCK);
            } else {
                unlockPostSaving(LOCK);
            }
        }, [isLocked]);
        useEffect(function () {
            return function () {
                unlockPostSaving(LOCK);
            };
        }, []);

        // A post that is public has no pre-publish panel: the words go above the text
        const notice = isClosed && editor.isPublic && editor.mayPublish
            ? headline(answer) + ' ' + answer.found.map(function (one) {
                return one.title + ': ' + one.words;
            }).join(' ')
            : '';
        useEffect(function () {
            if (notice === '') {
                removeNotice(NOTICE);
                return;
            }
            createErrorNotice(notice, {
                id: NOTICE,
                isDismissible: false,
                speak: true,
                actions: answer.found.filter(function (one) {
                    return one.review;
                }).slice(0, 3).map(function (one) {
                    /* translators: %s: title of a picture */
                    return { label: sprintf(__('Review “%s”', 'facecloak'), one.title), url: one.review };
                }),
            });
        }, [notice]);

        return el(PrePublish, {
            title: isClosed ? __('Faces: not ready', 'facecloak') : __('Faces', 'facecloak'),
            initialOpen: true,
            className: 'facecloak-panel',
            icon: isClosed ? 'lock' : 'visibility',
        },
        el('div', { role: 'status', 'aria-live': 'polite' },
            answer ? el('p', null, headline(answer)) : el('p', null, __('Looking at the media …', 'facecloak')),
            answer && answer.found.length ? el('ul', { className: 'facecloak-list' }, answer.found.map(function (one, i) {
                return el(Found, { key: i, one: one });
            })) : null,
            isClosed && !answer.found.some(function (one) {
                return one.review;
            }) ? el('p', null, __('An editor can review them.', 'facecloak')) : null
        ),
        el(wp.components.Button, {
            variant: 'secondary', isBusy: isAsking, disabled: isAsking, onClick: look, className: 'facecloak-check',
        }, __('Check again', 'facecloak')));
    }

    wp.plugins.registerPlugin('facecloak', { render: Panel, icon: 'visibility' });
})(window.wp);
