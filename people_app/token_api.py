"""REST: the tokens with which programs use the API."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth import authenticate
from django.db.models import DateTimeField, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, viewsets
from rest_framework.filters import OrderingFilter
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from people_app.models import ApiToken, TokenRights
from people_app.throttles import LoginByAddressThrottle, LoginByNameThrottle, LoginThrottle, refused_for_s
from people_app.tokens import person
from rest.moments import Moment
from rest.outputs import ErrorOutput
from rest.refusals import Refusal


class WrongPassword(Refusal):
    code = "wrong_password"
    sentence = "This name and password do not belong together. Check both."


class PasswordInput(serializers.Serializer[None]):
    username = serializers.CharField(max_length=150, trim_whitespace=False)
    password = serializers.CharField(
        max_length=4096, trim_whitespace=False, write_only=True, style={"input_type": "password"}
    )


class KeyOutput(serializers.Serializer[None]):
    token = serializers.CharField(help_text="Send it as `Authorization: Bearer KEY`. It is not shown again.")


class TokenInput(serializers.Serializer[None]):
    name = serializers.CharField(max_length=100, help_text="What uses it, so that you know it again.")
    rights = serializers.ChoiceField(
        choices=TokenRights.choices,
        help_text="`read`: whatever changes nothing. `send`: send audio, start jobs, and read one recording "
        "or job by its id. `all`: everything that you may do.",
    )
    expires_at = Moment(
        required=False, allow_null=True, default=None, help_text="When it ends; null: it does not."
    )

    def validate_expires_at(self, expires_at: datetime | None) -> datetime | None:
        if expires_at is not None and expires_at <= timezone.now():
            raise serializers.ValidationError("This is in the past. Choose a later time, or none.")
        used = self.context["request"].auth
        ends_at = used.expires_at if isinstance(used, ApiToken) else None
        if ends_at is not None and (expires_at is None or expires_at > ends_at):
            # A stolen token could otherwise make one that lasts longer, and its own end would mean nothing.
            raise serializers.ValidationError(
                f"The token that you use ends at {ends_at:%Y-%m-%d %H:%M} UTC and makes none that ends "
                "later. Choose an earlier time, or make this one on your account page."
            )
        return expires_at


class TokenOutput(serializers.ModelSerializer[ApiToken]):
    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        DateTimeField: Moment,
    }

    class Meta:
        model = ApiToken
        fields: tuple[str, ...] = (
            "id",
            "name",
            "first_characters",
            "rights",
            "created_at",
            "last_used_at",
            "expires_at",
        )
        read_only_fields = fields


class NewTokenOutput(TokenOutput):
    key = serializers.CharField(
        read_only=True, help_text="Send it as `Authorization: Bearer KEY`. It is not shown again."
    )

    class Meta(TokenOutput.Meta):
        fields = ("key", *TokenOutput.Meta.fields)
        read_only_fields = fields


@extend_schema_view(
    list=extend_schema(summary="Your tokens", description="Without their keys, which nobody can read again."),
    destroy=extend_schema(
        summary="End a token", description="At once.", responses={204: None, 404: ErrorOutput}
    ),
)
class TokenViewSet(mixins.ListModelMixin, mixins.DestroyModelMixin, viewsets.GenericViewSet[ApiToken]):
    queryset = ApiToken.objects.none()
    serializer_class = TokenOutput
    filter_backends = [OrderingFilter]
    ordering_fields = ("created_at", "last_used_at", "expires_at", "name")
    ordering = ("-created_at", "-pk")
    lookup_value_converter = "int"

    def get_queryset(self) -> QuerySet[ApiToken]:
        return ApiToken.objects.filter(user=person(self.request))

    @extend_schema(
        summary="Make a token",
        request=TokenInput,
        responses={201: NewTokenOutput, 400: ErrorOutput, 403: ErrorOutput},
    )
    def create(self, request: Request) -> Response:
        wanted = TokenInput(data=request.data, context=self.get_serializer_context())
        wanted.is_valid(raise_exception=True)
        token = ApiToken.objects.issue(person(request), **wanted.validated_data)
        return Response(NewTokenOutput(token).data, status=201, headers={"Cache-Control": "no-store"})


class TokenForPasswordView(APIView):
    # Nobody has to be logged in, and a session cookie beside the password must not require a CSRF token.
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = (LoginByAddressThrottle, LoginByNameThrottle)

    def check_throttles(self, request: Request) -> None:
        self.login_throttles: list[LoginThrottle] = [throttle() for throttle in self.throttle_classes]
        if seconds := refused_for_s(request, self.login_throttles):
            self.throttled(request, seconds)

    @extend_schema(
        operation_id="auth_token_create",
        summary="A token for a name and a password",
        description=(
            "A new one each time, with all rights, which has the name of the client (its User-Agent). "
            "You have up to 20 such tokens; then the one that was unused for longest ends."
        ),
        request=PasswordInput,
        responses={200: KeyOutput, 400: ErrorOutput, 429: ErrorOutput},
    )
    def post(self, request: Request) -> Response:
        given = PasswordInput(data=request.data)
        given.is_valid(raise_exception=True)
        user = authenticate(request._request, **given.validated_data)
        if user is None:
            raise WrongPassword
        for throttle in self.login_throttles:
            throttle.forgive()
        token = ApiToken.objects.issue_for_password(user, _client(request))
        return Response({"token": token.key}, headers={"Cache-Control": "no-store"})


def _client(request: Request) -> str:
    """Return the name that a program gives itself."""
    agent = request.headers.get("User-Agent", "")
    return "".join(letter for letter in agent if letter.isprintable())[:100].strip() or "A program"
