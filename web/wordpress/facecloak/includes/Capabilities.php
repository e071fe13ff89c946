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

    /** What was given already, once. */
    private const GIVEN = 'facecloak_capabilities';

    public function __construct(Plugin $plugin)
    {
    }

    /** On activation and after updates: what an administrator took away on purpose does not come back with them. */
    public static function grant(): void
    {
        $given = (array) get_option(self::GIVEN, []);
        foreach (self::ROLES as $name => $capabilities) {
            $role = get_role($name);
            foreach ($role === null ? [] : array_diff($capabilities, $given) as $capability) {
                $role->add_cap($capability);
            }
        }
        $given = array_unique(array_merge($given, ...array_values(self::ROLES)));
        update_option(self::GIVEN, array_values($given), false);
    }

    /** On removal: from every role and from every person, whoever gave it. */
    public static function revoke(): void
    {
        $all = [self::REVIEW, self::KEEP, self::MANAGE];
        delete_option(self::GIVEN);
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
