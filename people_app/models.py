"""People, the tokens of their programs, and what they have used."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.models import UserManager as DjangoUserManager
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.db import OperationalError, models, transaction
from django.db.models import Q
from django.db.models.base import ModelBase
from django.db.models.functions import Coalesce
from django.utils import timezone

from people_app.names import LONGEST, check_new_name, same_name

logger = logging.getLogger(__name__)

NAME_TAKEN = "A user with that username already exists."


class PersonKind(models.TextChoices):
    PERSON = "person", "person"
    GUEST = "guest", "guest"


class Theme(models.TextChoices):
    AUTO = "auto", "As the device"
    LIGHT = "light", "Light"
    DARK = "dark", "Dark"


class UserManager(DjangoUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> User:
        """Find a person by name.

        Django calls this at the login, too, where phones begin a name with a capital.
        """
        return self.get(name_key=same_name(username or ""))

    def create_guest(self) -> User:
        """Create a person who owns recordings and cannot log in."""
        return self.create_user(f"guest-{secrets.token_hex(8)}", kind=PersonKind.GUEST, is_active=False)


class User(AbstractUser):
    """A person who owns recordings.

    A guest owns recordings without an account. All ways to get in (logins, tokens, a new password) check
    `is_active`, so it is never set for a guest; a constraint in the database ensures that.
    """

    username = models.CharField(
        "username",
        max_length=LONGEST,
        unique=True,
        help_text="Up to 150 characters: letters, digits and @ . + - _",
        validators=[UnicodeUsernameValidator(), check_new_name],
        error_messages={"unique": NAME_TAKEN},
    )
    name_key = models.TextField(
        unique=True, editable=False, help_text="What all ways to write the username have in common."
    )
    kind = models.CharField(
        max_length=10, choices=PersonKind.choices, default=PersonKind.PERSON, editable=False
    )
    time_zone = models.CharField(max_length=64, blank=True, help_text="Empty: the one of the browser.")
    language = models.CharField(max_length=20, blank=True, help_text="Of the pages. Empty: the site's.")
    theme = models.CharField(max_length=10, choices=Theme.choices, default=Theme.AUTO)
    live = models.BooleanField(
        default=True,
        db_default=True,
        help_text="Whether words appear on the recorder page while they are spoken.",
    )
    known_voices = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Whether voices are saved under names, and names suggested in later recordings.",
    )
    job_defaults = models.JSONField(
        default=dict, blank=True, editable=False, help_text="For what a request leaves out, by option."
    )

    keeps_tokens = False
    """Set this before a new password is saved, if the person's tokens must outlive it."""

    # Django keeps a new password here until it is saved.
    _password: str | None

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        constraints = [
            # A row that was written without save() would have an empty key.
            models.CheckConstraint(condition=~Q(name_key=""), name="people_name_key_is_set"),
            models.CheckConstraint(
                condition=~Q(kind=PersonKind.GUEST)
                | Q(is_active=False, is_staff=False, is_superuser=False, password__startswith="!"),  # noqa: S106
                name="people_guest_cannot_log_in",
            ),
        ]

    def save(
        self,
        *,
        force_insert: bool | tuple[ModelBase, ...] = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Iterable[str] | None = None,
    ) -> None:
        """Save the person and the form in which names are compared.

        A new password ends the tokens, wherever it is set.
        """
        self.name_key = same_name(self.username)
        if update_fields is not None:
            update_fields = set(update_fields)
            if "username" in update_fields:
                update_fields |= {"name_key"}
        # A mere new hash of the old password is no new password.
        ends_tokens = self._password is not None and not self._state.adding and not self.keeps_tokens
        with transaction.atomic():
            super().save(
                force_insert=force_insert, force_update=force_update, using=using, update_fields=update_fields
            )
            if ends_tokens:
                self.api_tokens.all().delete()

    def clean(self) -> None:
        super().clean()
        others = User.objects.filter(name_key=same_name(self.username or "")).exclude(pk=self.pk)
        if others.exists():
            raise ValidationError({"username": ValidationError(NAME_TAKEN, code="unique")})


MOST_FOR_PASSWORDS = 20
"""The most tokens of one person that may come from `POST /api/auth/token/`."""

USE_NOTED_EVERY = timedelta(minutes=1)
SHOWN_CHARACTERS = 6


class TokenRights(models.TextChoices):
    READ = "read", "Read"
    SEND = "send", "Send recordings"
    ALL = "all", "Everything"


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def valid(self) -> ApiTokenQuerySet:
        unexpired = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
        return self.filter(unexpired, user__is_active=True)

    def with_key(self, key: str) -> ApiToken | None:
        """Return the valid token with this key, with its user.

        This is one query, which uses the index of the hashes.
        """
        return self.valid().select_related("user").filter(digest=digest_of(key)).first()

    def issue(
        self,
        user: User,
        name: str = "",
        *,
        rights: str = TokenRights.ALL,
        for_password: bool = False,
        expires_at: datetime | None = None,
    ) -> ApiToken:
        """Create a token. Its `key` is known now and never again.

        Raises:
            ValueError: the user is a guest.
        """
        if user.kind == PersonKind.GUEST:
            raise ValueError("A guest gets in nowhere, so there is no token for one.")
        key = secrets.token_hex(20)
        token = self.create(
            user=user,
            name=name,
            digest=digest_of(key),
            first_characters=key[:SHOWN_CHARACTERS],
            rights=rights,
            for_password=for_password,
            expires_at=expires_at,
        )
        token.key = key
        return token

    def issue_for_password(self, user: User, name: str) -> ApiToken:
        """Create a token for a program that knows the password.

        Such a program may ask each time it runs. So beyond MOST_FOR_PASSWORDS tokens, those that were unused
        for longest are deleted.
        """
        with transaction.atomic():
            User.objects.select_for_update(no_key=True).get(pk=user.pk)
            token = self.issue(user, name, for_password=True)
            others = self.filter(user=user, for_password=True).exclude(pk=token.pk)
            by_use = others.order_by(Coalesce("last_used_at", "created_at").desc(), "-pk")
            self.filter(pk__in=list(by_use.values_list("pk", flat=True)[MOST_FOR_PASSWORDS - 1 :])).delete()
        return token


def digest_of(key: str) -> str:
    """Return what is stored of a key. It has no salt, because nobody finds 160 random bits by trying."""
    return hashlib.sha256(key.encode()).hexdigest()


class ApiToken(models.Model):
    """A program that sends the key of a token acts as its user. `people_app.tokens` says what it may do."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    first_characters = models.CharField(max_length=10, editable=False)
    rights = models.CharField(max_length=10, choices=TokenRights.choices, default=TokenRights.ALL)
    for_password = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, editable=False)
    expires_at = models.DateTimeField(null=True)

    key: str
    """Only a token that was just made has its key."""

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        verbose_name = "API token"

    def __str__(self) -> str:
        return self.name

    @property
    def has_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    def note_use(self) -> None:
        """Note that the token was used just now, at most once a minute, so that frequent requests cost few
        writes.
        """
        now = timezone.now()
        if self.last_used_at is not None and now - self.last_used_at < USE_NOTED_EVERY:
            return
        try:
            ApiToken.objects.filter(pk=self.pk).update(last_used_at=now)
        except OperationalError as error:
            # If nothing can be written, as on a full disk, people must still be able to read.
            logger.warning("The use of a token was not noted: %s", error)


class UsageEntry(models.Model):
    """What a person has used, for limits and bills. Nothing writes this table yet.

    An entry outlives its job: `job_id` may name a deleted job. A job is counted once for each kind and unit,
    however often its work is repeated.
    """

    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="usage", db_index=False)
    kind = models.CharField(max_length=20, help_text="What was used: transcription, translation …")
    amount = models.BigIntegerField()
    unit = models.CharField(max_length=20, help_text="Of the amount: ms, requests, bytes …")
    at = models.DateTimeField(default=timezone.now)
    engine = models.CharField(max_length=40, blank=True)
    model = models.CharField(max_length=200, blank=True)
    cost = models.DecimalField(max_digits=12, decimal_places=6, default=0)
    job_id = models.UUIDField(null=True)

    class Meta:
        verbose_name_plural = "usage entries"
        constraints = [
            models.UniqueConstraint(fields=["job_id", "kind", "unit"], name="people_usage_of_a_job_once"),
        ]
        # This index is for the sum of a month.
        indexes = [models.Index(fields=["owner", "at"], name="people_usage_of_owner")]

    def __str__(self) -> str:
        return f"{self.amount} {self.unit} of {self.kind}"
