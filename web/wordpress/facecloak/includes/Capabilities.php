<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * What people may do, given to roles once, so that a site may move them to other roles.
 */
final class Capabilities
{
    /** To look at originals, decide about faces and approve. */
    public const REVIEW = 'facecloak_review';
    /** To leave a face clear, with a reason. */
    public const KEEP = 'facecloak_keep';
    /** To set the plugin up, and to read its log. */
    public const MANAGE = 'facecloak_manage';

    private const ROLES = [
        'administrator' => [self::REVIEW, self::KEEP, self::MANAGE],
        'editor' => [self::REVIEW, self::KEEP],
    ];

    public function __construct(Plugin $plugin)
    {
    }

    /** On activation. What an administrator took away on purpose comes back only then. */
    public static function grant(): void
    {
        foreach (self::ROLES as $name => $capabilities) {
            $role = get_role($name);
            foreach ($role === null ? [] : $capabilities as $capability) {
                $role->add_cap($capability);
            }
        }
    }

    /** On removal: from every role and from every person, whoever gave it. */
    public static function revoke(): void
    {
        $all = [self::REVIEW, self::KEEP, self::MANAGE];
        foreach (array_keys(wp_roles()->roles) as $name) {
            foreach ($all as $capability) {
                wp_roles()->remove_cap((string) $name, $capability);
            }
        }
        foreach (get_users(['capability__in' => $all]) as $user) {
            foreach ($all as $capability) {
                $user->remove_cap($capability);
            }
        }
    }
}
